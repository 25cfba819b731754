package org.deft4j.tensor.internal.cuda;

import org.deft4j.tensor.Scope;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeAllCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/** For tests of the card: they are skipped, and it is said why, where nothing can take its place; each has a scope for its tensors. */
public final class OnCard implements BeforeAllCallback, BeforeEachCallback, AfterEachCallback {
  private static final ExtensionContext.Namespace SPACE = ExtensionContext.Namespace.create(OnCard.class);

  @Override
  public void beforeAll(ExtensionContext context) {
    CudaTests.assumeCard();
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
