package org.deft4j.diffusion;

import java.util.ArrayList;
import java.util.List;
import org.deft4j.weights.FormatException;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What can be said of a model without knowing its kind. */
class DiffusionModelTest {
  @Test
  void aStableDiffusionModel() {
    for (TinyModel tiny : TinyModel.all()) {
      DiffusionModel.require(tiny.folder().toString());
      try (DiffusionModel model = DiffusionModel.open(tiny.folder().toString(), null)) {
        List<String> adaptable = new ArrayList<>(List.of("unet"));
        adaptable.addAll(tiny.textEncoders());
        assertEquals(adaptable, List.copyOf(model.adaptable().keySet()));
        model.adaptable().forEach((name, part) -> assertSame(part, model.parts().get(name), name));
        assertSame(model.parts().get("unet"), model.denoiser());
        assertSame(model.parts().get("vae"), model.vae());
        assertEquals(model.vae().config().downscale(), model.grain());
        assertEquals(0, model.defaultSize() % model.grain());
        for (String suffix : model.attentionProjections()) {
          assertTrue(model.denoiser().modules().keySet().stream().anyMatch(path -> path.endsWith("." + suffix)), suffix);
        }
      }
    }
  }

  @Test
  void whatIsNoModelIsRefused() {
    assertThrows(FormatException.class, () -> DiffusionModel.require("/nowhere/at all"));
    assertThrows(FormatException.class, () -> DiffusionModel.open("/nowhere/at all", null));
  }
}
