package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.Device;
import org.deft4j.tensor.Scope;
import org.junit.jupiter.api.extension.AfterAllCallback;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/**
 * For tests of the card: they are skipped, and it is said why, where nothing can take its place; each has a scope for its tensors. What such
 * a test makes is the CPU's until it says otherwise, also where {@code -Ddeft4j.device=cuda} has all others on the card.
 */
public final class OnCard implements BeforeAllCallback, AfterAllCallback, BeforeEachCallback, AfterEachCallback {
  private static final ExtensionContext.Namespace SPACE = ExtensionContext.Namespace.create(OnCard.class);

  @Override
  public void beforeAll(ExtensionContext context) {
    CudaTests.assumeCard();
    context.getStore(SPACE).put(Device.class, Device.current());
    Device.use(Device.CPU);
  }

  @Override
  public void afterAll(ExtensionContext context) {
    Device before = context.getStore(SPACE).remove(Device.class, Device.class);
    if (before != null) {
      Device.use(before);
    }
  }

  @Override
  public void beforeEach(ExtensionContext context) {
    context.getStore(SPACE).put(Scope.class, Scope.open());
  }

  @Override
  public void afterEach(ExtensionContext context) {
    context.getStore(SPACE).remove(Scope.class, Scope.class).close();
  }
}
