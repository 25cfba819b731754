package org.deft4j.tensor.testing;

import org.deft4j.tensor.MemoryPool;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.ExtensionContext.Namespace;

/**
 * Fails a test after which tensors are left open that were not before it: the bytes that open tensors hold must return
 * to where they were. {@code @ExtendWith(LeakCheck.class)} on a class whose tests run one at a time.
 */
public final class LeakCheck implements BeforeEachCallback, AfterEachCallback {
  private static final Namespace NAMESPACE = Namespace.create(LeakCheck.class);

  @Override
  public void beforeEach(ExtensionContext context) {
    context.getStore(NAMESPACE).put("live", MemoryPool.cpu().liveBytes());
  }

  @Override
  public void afterEach(ExtensionContext context) {
    long before = context.getStore(NAMESPACE).get("live", Long.class);
    long after = MemoryPool.cpu().liveBytes();
    if (after != before && context.getExecutionException().isEmpty()) {
      throw new AssertionError(context.getDisplayName() + ": tensors held " + before + " bytes before the test and "
          + after + " bytes after it");
    }
  }
}
