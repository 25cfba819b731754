package org.deft4j.weights;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.deft4j.weights.testing.Fixtures;
import org.deft4j.weights.testing.SingleFiles;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The two namings of a denoising network are each other's inverse, and the published one. */
class LdmUNetNamesTest {
  /** Single-file name to diffusers name of every parameter. */
  private static Map<String, String> published(Path manifest) {
    JsonObject map = Fixtures.json(SingleFiles.first(manifest, "single_file_map."));
    Map<String, String> names = new LinkedHashMap<>();
    map.keys().stream().filter(name -> name.startsWith(SingleFileMap.UNET_PREFIX)).forEach(name ->
        names.put(name.substring(SingleFileMap.UNET_PREFIX.length()), map.requireString(name).substring("unet/".length())));
    return names;
  }

  @Test
  void everyNameOfAFullSizeNetworkIsThePublishedOneBothWaysFromEitherNaming() {
    for (Path manifest : Fixtures.folders("manifests")) {
      Map<String, String> published = published(manifest);
      assertTrue(published.size() > 600, manifest.toString());
      for (LdmUNetNames names : List.of(LdmUNetNames.ofLdm(published.keySet()), LdmUNetNames.ofDiffusers(published.values()))) {
        published.forEach((ldm, diffusers) -> {
          assertEquals(diffusers, names.diffusers(ldm));
          assertEquals(ldm, names.ldm(diffusers));
        });
      }
    }
  }

  /** A network of any depth, with attention where it pleases, as diffusers names it. */
  private static List<String> network(List<Boolean> attention, int resnets) {
    List<String> names = new ArrayList<>(List.of("conv_in.weight", "time_embedding.linear_2.bias", "mid_block.resnets.0.conv1.weight",
        "mid_block.attentions.0.norm.bias", "mid_block.resnets.1.norm2.weight", "conv_out.bias"));
    int levels = attention.size();
    for (int i = 0; i < levels; i++) {
      addLevel(names, "down_blocks." + i, resnets, attention.get(i), i < levels - 1 ? ".downsamplers.0.conv.weight" : null);
      addLevel(names, "up_blocks." + i, resnets + 1, attention.get(levels - 1 - i), i < levels - 1 ? ".upsamplers.0.conv.weight" : null);
    }
    return names;
  }

  private static void addLevel(List<String> names, String level, int layers, boolean attention, String sampler) {
    for (int layer = 0; layer < layers; layer++) {
      names.add(level + ".resnets." + layer + ".conv2.weight");
      names.add(level + ".resnets." + layer + ".conv_shortcut.bias");
      if (attention) {
        names.add(level + ".attentions." + layer + ".transformer_blocks.11.ff.net.0.proj.weight");
      }
    }
    if (sampler != null) {
      names.add(level + sampler);
    }
  }

  @Property
  void thereAndBackIsTheSameNameInNetworksOfAnyDepth(@ForAll @Size(min = 1, max = 5) List<Boolean> attention,
      @ForAll @IntRange(min = 1, max = 4) int resnets) {
    List<String> diffusers = network(attention, resnets);
    LdmUNetNames there = LdmUNetNames.ofDiffusers(diffusers);
    List<String> ldm = diffusers.stream().map(there::ldm).toList();
    assertEquals(diffusers.size(), Set.copyOf(ldm).size());
    LdmUNetNames back = LdmUNetNames.ofLdm(ldm);
    assertEquals(diffusers, ldm.stream().map(back::diffusers).toList());
    assertEquals(ldm, diffusers.stream().map(back::ldm).toList());
  }

  /** Resnet 0, attention 1: in a level without attention the upsampler takes the attention's number. */
  @Test
  void theUpsamplersNumberDependsOnTheLevelsAttention() {
    Set<String> upsamplers = new TreeSet<>();
    LdmUNetNames names = LdmUNetNames.ofDiffusers(network(List.of(true, true, false), 2));
    for (int level = 0; level < 2; level++) {
      upsamplers.add(names.ldm("up_blocks." + level + ".upsamplers.0.conv.bias"));
    }
    assertEquals(Set.of("output_blocks.2.1.conv.bias", "output_blocks.5.2.conv.bias"), upsamplers);
  }

  @Test
  void whatTheOtherNamingDoesNotHaveIsNull() {
    LdmUNetNames names = LdmUNetNames.ofDiffusers(network(List.of(true, false), 2));
    for (String name : List.of("down_blocks.0.resnets.2.conv1.weight", "up_blocks.0.resnets.3.conv1.weight",
        "down_blocks.0.resnets.0.weight", "down_blocks.0.attentions.0.to_q.weight", "mid_block.resnets.2.conv1.weight",
        "mid_block.attentions.0.to_q.weight", "mid_block.resnets.0.proj_in.weight", "encoder_hid_proj.weight", "conv_in", "")) {
      assertNull(names.ldm(name), name);
    }
    for (String name : List.of("input_blocks.0.1.weight", "middle_block.3.in_layers.0.weight", "input_blocks.1.0.conv1.weight", "")) {
      assertNull(names.diffusers(name), name);
    }
  }
}
