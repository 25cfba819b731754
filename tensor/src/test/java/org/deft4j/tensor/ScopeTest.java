package org.deft4j.tensor;

import java.util.concurrent.atomic.AtomicReference;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.testing.LeakCheck;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Who owns a tensor, and when it closes. */
@ExtendWith(LeakCheck.class)
class ScopeTest {
  private static long live() {
    return MemoryPool.cpu().liveBytes();
  }

  @Test
  void aScopeClosesWhatWasMadeInIt() {
    Tensor made;
    try (Scope _ = Scope.open()) {
      made = Tensor.zeros(DType.F32, 4);
      assertTrue(made.isOpen());
      assertTrue(live() > 0);
    }
    assertFalse(made.isOpen());
    String message = assertThrows(ClosedException.class, () -> made.add(1)).getMessage();
    assertEquals("affine: tensor F32[4] was closed, or the scope that owned it", message);
    assertThrows(ClosedException.class, made::memory);
    assertThrows(ClosedException.class, made::bytes);
    assertThrows(ClosedException.class, made::share);
    assertThrows(ClosedException.class, made::toFloats);
    assertThrows(ClosedException.class, () -> made.permute(0));
    assertEquals("reshape: tensor 'latents' F32[4] was closed, or the scope that owned it",
        assertThrows(ClosedException.class, () -> made.named("latents").reshape(2, 2)).getMessage());
  }

  @Test
  void closingTwiceLetsGoOnce() {
    long before = live();
    Scope scope = Scope.open();
    Tensor x = Tensor.zeros(DType.F32, 100);
    Tensor handle = x.share();
    x.close();
    x.close();
    assertTrue(handle.isOpen());
    assertEquals(0, handle.sum().item());
    assertTrue(live() > before);
    handle.close();
    handle.close();
    scope.close();
    scope.close();
    assertEquals(before, live());
  }

  @Test
  void viewsKeepTheMemoryOfWhatTheyView() {
    long before = live();
    try (Scope _ = Scope.open()) {
      Tensor x = Tensor.of(new double[] {1, 2, 3, 4}, 2, 2);
      Tensor column = x.select(1, 1);
      assertTrue(x.isShared());
      x.close();
      assertEquals(6, column.sum().item());
    }
    assertEquals(before, live());
  }

  @Test
  void aShareIsTheSameValueAndOwnedByNobody() {
    Tensor handle;
    try (Scope _ = Scope.open()) {
      Tensor x = Tensor.scalar(DType.F64, 3);
      handle = x.share();
      assertEquals(x.id(), handle.id());
      Dispatch.run(new InPlace.Fill(4), x);
      assertEquals(1, handle.version() - x.version() + 1);
    }
    assertEquals(4, handle.item());
    assertFalse(handle.isShared());
    handle.close();
  }

  @Test
  void keepHandsToTheEnclosingScope() {
    try (Scope _ = Scope.open()) {
      Tensor kept;
      Tensor lost;
      try (Scope inner = Scope.open()) {
        kept = inner.keep(Tensor.scalar(DType.F32, 1));
        lost = Tensor.scalar(DType.F32, 2);
        assertTrue(inner.keep(kept) == kept, "keeping what another scope owns changes nothing");
      }
      assertTrue(kept.isOpen());
      assertFalse(lost.isOpen());
      Tensor result = Scope.run(() -> kept.add(1).mul(3));
      assertEquals(6, result.item());
    }
  }

  @Test
  void keepingInTheOutermostScopeHandsToTheCaller() {
    Tensor mine = Scope.run(() -> Tensor.scalar(DType.F32, 1).add(1));
    assertEquals(2, mine.item());
    mine.close();
  }

  @Test
  void releaseTakesOutAndAdoptPutsBack() {
    Tensor released;
    try (Scope _ = Scope.open()) {
      try (Scope _ = Scope.open()) {
        released = Scope.release(Tensor.scalar(DType.F32, 1));
        assertTrue(Scope.release(released) == released);
      }
      assertTrue(released.isOpen());
      Scope.adopt(released);
    }
    assertFalse(released.isOpen());
  }

  @Test
  void withoutAScopeTheMakerCloses() {
    Tensor x = Tensor.zeros(DType.F32, 3);
    assertTrue(x.isOpen());
    x.close();
  }

  @Test
  void scopesCloseInnermostFirstOnTheirThread() throws InterruptedException {
    Scope outer = Scope.open();
    try (Scope _ = Scope.open()) {
      assertThrows(IllegalStateException.class, outer::close);
    }
    AtomicReference<Throwable> thrown = new AtomicReference<>();
    Thread other = new Thread(() -> {
      try {
        outer.close();
      } catch (IllegalStateException e) {
        thrown.set(e);
      }
    });
    other.start();
    other.join();
    assertTrue(thrown.get() instanceof IllegalStateException);
    outer.close();
  }

  @Test
  void aScopeEndsWithAnExceptionToo() {
    long before = live();
    assertThrows(ShapeException.class, () -> Scope.run(() -> Tensor.zeros(DType.F32, 3).add(Tensor.zeros(DType.F32, 4))));
    assertEquals(before, live());
  }

  /** An operation that fails in its kernel gives its outputs back at once. */
  @Test
  void aFailedOperationLeavesNothingBehind() {
    try (Scope _ = Scope.open()) {
      Tensor table = Tensor.zeros(DType.F32, 4, 4);
      Tensor index = Tensor.of(new long[] {4});
      long before = live();
      assertThrows(ShapeException.class, () -> table.indexSelect(0, index));
      assertEquals(before, live());
    }
  }

  @Test
  void aChainHoldsOnlyItsLastLinkAndLeavesWhatIsTheCallers() {
    try (Scope _ = Scope.open()) {
      Tensor x = Tensor.zeros(DType.F32, 1024);
      MemoryPool.cpu().resetPeak();
      long before = MemoryPool.cpu().liveBytes();
      Tensor end = Scope.run(() -> {
        Tensor h = x;
        for (int i = 0; i < 10; i++) {
          Tensor link = Scope.next(h, in -> in.add(1));
          assertEquals(h == x, h.isOpen());
          h = link;
        }
        assertTrue(Scope.next(h, in -> in) == h && h.isOpen());
        return h;
      });
      assertEquals(10, end.max(false).item());
      assertEquals(2 * 4096, MemoryPool.cpu().peakLiveBytes() - before);
      Tensor loose = Scope.release(x.copy());
      Scope.next(loose, in -> in.neg());
      assertTrue(loose.isOpen(), "what no scope owns is its holder's");
      loose.close();
    }
  }
}
