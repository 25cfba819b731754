package org.deft4j.diffusion.omnigen;

import java.util.List;
import java.util.Map;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.testing.LeakCheck;
import org.deft4j.weights.testing.Fixtures;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** A folded table of positions says what the whole one does, and a table that is made of more stays whole. */
@ExtendWith(LeakCheck.class)
class PositionAxesTest {
  static List<OmniGenModelFixture> fixtures() {
    return OmniGenModelFixture.all();
  }

  @ParameterizedTest
  @MethodSource("fixtures")
  void aFoldedTableSaysTheSame(OmniGenModelFixture fixture) {
    int side = fixture.config().tableSide();
    for (DType type : List.of(DType.F32, DType.BF16, DType.F16)) {
      try (Scope _ = Scope.open(); OmniGenTransformer whole = fixture.transformer(type);
          OmniGenTransformer folded = fixture.transformer(type)) {
        folded.foldPositions();
        assertFalse(folded.parameters().get("pos_embed").isLoaded());
        for (int height : new int[] {1, 4, 7, side}) {
          for (int width : new int[] {1, 6, side}) {
            Fixtures.equal(type + ", " + height + " x " + width, folded.positions(height, width), whole.positions(height, width));
          }
        }
        folded.unfoldPositions();
        Fixtures.equal(type + ", unfolded", folded.parameters().get("pos_embed").value(), whole.parameters().get("pos_embed").value());
        assertEquals(type, folded.parameters().get("pos_embed").value().dtype());
      }
    }
  }

  /** One number of the last entry's second half, and then of its first, differs from that of its row or column. */
  @ParameterizedTest
  @MethodSource("fixtures")
  void aTableOfMoreStaysWhole(OmniGenModelFixture fixture) {
    for (int fromEnd : new int[] {1, fixture.config().hidden()}) {
      try (Scope _ = Scope.open(); OmniGenTransformer model = fixture.transformer(fixture.config(), null,
          Map.of("pos_embed", table -> changed(table, fromEnd)))) {
        Tensor before = model.positions(4, 4);
        model.foldPositions();
        assertTrue(model.parameters().get("pos_embed").isLoaded());
        Fixtures.equal("positions", model.positions(4, 4), before);
      }
    }
  }

  private static Tensor changed(Tensor table, int fromEnd) {
    float[] values = table.toFloats();
    values[values.length - fromEnd] += 1;
    return Tensor.of(values, table.shape().toArray());
  }
}
