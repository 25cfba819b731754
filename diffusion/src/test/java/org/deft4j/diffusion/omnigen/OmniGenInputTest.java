package org.deft4j.diffusion.omnigen;

import java.util.Collections;
import java.util.List;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Rehearsal;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

/** Batches of conditions: padding, ids, positions and masks written out, and without memory. */
class OmniGenInputTest {
  private static final OmniGenTokens LONG = new OmniGenTokens(List.of(1, 0, 0, 5, 0, 6),
      List.of(new ImageSpan(1, 1, 3), new ImageSpan(0, 4, 5)));
  private static final OmniGenTokens SHORT = new OmniGenTokens(List.of(1, 7, 8, 9), List.of());
  private static final OmniGenInput INPUT = OmniGenInput.of(List.of(SHORT, LONG), 2);

  @Test
  void rowsArePaddedOnTheLeft() {
    assertEquals(2, INPUT.rows());
    assertEquals(6, INPUT.length());
    assertEquals(2, INPUT.padding(0));
    assertEquals(0, INPUT.padding(1));
    assertEquals(List.of(List.of(), LONG.images()), INPUT.images());
    OmniGenInput longer = OmniGenInput.of(List.of(LONG, new OmniGenTokens(Collections.nCopies(9, 3), List.of())), 2);
    assertEquals(List.of(new ImageSpan(1, 4, 6), new ImageSpan(0, 7, 8)), longer.images().getFirst());
    try (Scope _ = Scope.open()) {
      assertArrayEquals(new long[] {2, 2, 1, 7, 8, 9, 1, 0, 0, 5, 0, 6}, INPUT.ids().toLongs());
      assertArrayEquals(new long[] {0, 0, 0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5, 6, 7}, INPUT.positions(1).toLongs());
    }
  }

  @Test
  void theMaskIsAsWrittenOut() {
    try (Scope _ = Scope.open()) {
      Tensor mask = INPUT.mask(1, 2);
      assertEquals(Shape.of(2, 9, 9), mask.shape());
      long[] values = mask.toLongs();
      StringBuilder rows = new StringBuilder();
      for (int i = 0; i < values.length; i++) {
        rows.append(values[i]).append(i % 9 == 8 ? "\n" : "");
      }
      assertEquals("""
          111111110
          111111110
          001000000
          001100000
          001110000
          001111000
          001111100
          001111110
          001111110
          100000000
          111000000
          111000000
          111100000
          111110000
          111111000
          111111100
          111111111
          111111111
          """, rows.toString());
      assertArrayEquals(INPUT.mask(3).toLongs(), INPUT.mask(3, 3).toLongs());
    }
  }

  @Test
  void aRehearsalHasTheSameShapes() {
    try (Rehearsal rehearsal = Rehearsal.open(); Scope _ = Scope.open()) {
      for (Tensor tensor : List.of(INPUT.ids(), INPUT.positions(2), INPUT.mask(2, 1))) {
        assertEquals(Device.META, tensor.device());
      }
      assertEquals(Shape.of(2, 6), INPUT.ids().shape());
      assertEquals(Shape.of(2, 9), INPUT.positions(2).shape());
      assertEquals(Shape.of(2, 9, 9), INPUT.mask(2, 1).shape());
      assertEquals(DType.BOOL, INPUT.mask(2, 1).dtype());
      assertEquals(Shape.of(2, 40_007, 40_007), INPUT.mask(40_000).shape());
      assertEquals(true, rehearsal.pool().peakReservedBytes() > 2L * 40_007 * 40_007);
    }
  }

  @Test
  void whatDoesNotFitIsRefused() {
    assertThrows(IllegalArgumentException.class, () -> OmniGenInput.of(List.of(), 2));
    assertThrows(IllegalArgumentException.class, () -> OmniGenInput.of(List.of(SHORT), -1));
    assertThrows(IllegalArgumentException.class, () -> INPUT.mask());
    assertThrows(IllegalArgumentException.class, () -> INPUT.mask(1, 2, 3));
    assertThrows(IllegalArgumentException.class, () -> INPUT.mask(1, 0));
    assertThrows(IllegalArgumentException.class, () -> new ImageSpan(-1, 0, 1));
    assertThrows(IllegalArgumentException.class, () -> new ImageSpan(0, -1, 1));
    assertThrows(IllegalArgumentException.class, () -> new ImageSpan(0, 1, 1));
    assertThrows(IllegalArgumentException.class, () -> new OmniGenTokens(List.of(), List.of()));
    assertThrows(IllegalArgumentException.class, () -> new OmniGenTokens(List.of(-1), List.of()));
    assertThrows(IllegalArgumentException.class, () -> new OmniGenTokens(List.of(1, 0), List.of(new ImageSpan(0, 1, 3))));
    assertThrows(IllegalArgumentException.class, () -> new OmniGenTokens(List.of(1, 5), List.of(new ImageSpan(0, 1, 2))));
    assertThrows(IllegalArgumentException.class,
        () -> new OmniGenTokens(List.of(1, 0, 0), List.of(new ImageSpan(0, 1, 3), new ImageSpan(1, 2, 3))));
  }
}
