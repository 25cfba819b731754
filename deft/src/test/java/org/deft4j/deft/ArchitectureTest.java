package org.deft4j.deft;

import java.io.IOException;
import java.io.InputStream;
import java.lang.module.ModuleDescriptor;
import java.lang.module.ModuleDescriptor.Requires;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** The arrows between the six modules, as their compiled descriptors have them. */
class ArchitectureTest {
  private static final String OURS = "org.deft4j.";

  /** Folder of each module, and the modules of ours that it may require. */
  private static final Map<String, Set<String>> ARROWS = Map.of(
      "tensor", Set.of(),
      "autograd", Set.of("tensor"),
      "nn", Set.of("autograd", "tensor"),
      "weights-import", Set.of("tensor"),
      "diffusion", Set.of("nn", "weights", "autograd", "tensor"),
      "deft", Set.of("diffusion", "nn", "weights", "autograd", "tensor"));

  /** What is required from outside the JDK: up to nn nothing but EJML, and JCuda where a card is used, and decoders of WebP and CMYK beside the models. */
  private static final Map<String, Set<String>> OUTSIDE = Map.of(
      "tensor", Set.of("ejml.core", "ejml.ddense", "jcuda", "jcublas"),
      "autograd", Set.of(),
      "nn", Set.of(),
      "weights-import", Set.of("com.fasterxml.jackson.core", "com.fasterxml.jackson.jr.ob"),
      "diffusion", Set.of("com.twelvemonkeys.imageio.core", "com.twelvemonkeys.imageio.jpeg", "com.twelvemonkeys.imageio.webp"),
      "deft", Set.of("info.picocli", "org.knowm.xchart"));

  private static Path classes(String folder) {
    return Path.of(System.getProperty("deft4j.root", "..")).resolve(folder).resolve("target/classes");
  }

  private static ModuleDescriptor descriptor(String folder) throws IOException {
    try (InputStream in = Files.newInputStream(classes(folder).resolve("module-info.class"))) {
      return ModuleDescriptor.read(in);
    }
  }

  @Test
  void theArrowsAreThoseOfTheDesign() throws IOException {
    for (String folder : ARROWS.keySet()) {
      ModuleDescriptor module = descriptor(folder);
      assertEquals(OURS + folder.replace("-import", ""), module.name());
      Set<String> ours = new TreeSet<>();
      Set<String> outside = new TreeSet<>();
      for (Requires requires : module.requires()) {
        if (requires.name().startsWith(OURS)) {
          ours.add(requires.name().substring(OURS.length()));
        } else if (!requires.name().startsWith("java.") && !requires.name().startsWith("jdk.")) {
          outside.add(requires.name());
        }
      }
      assertTrue(ARROWS.get(folder).containsAll(ours), folder + " requires " + ours);
      assertTrue(OUTSIDE.get(folder).containsAll(outside), folder + " requires " + outside);
    }
  }

  @Test
  void aModuleExportsAtMostThreePackagesToAll() throws IOException {
    for (String folder : ARROWS.keySet()) {
      Set<String> exported = descriptor(folder).exports().stream().filter(export -> !export.isQualified())
          .map(ModuleDescriptor.Exports::source).collect(Collectors.toSet());
      assertTrue(!exported.isEmpty() && exported.size() <= 3, folder + " exports " + exported);
    }
  }

  @Test
  void noPackageIsInTwoModules() throws IOException {
    Map<String, String> owner = new TreeMap<>();
    for (String folder : ARROWS.keySet()) {
      try (Stream<Path> files = Files.walk(classes(folder))) {
        for (Path file : files.filter(path -> path.toString().endsWith(".class")).toList()) {
          Path name = classes(folder).relativize(file).getParent();
          String previous = name == null ? null : owner.put(name.toString(), folder);
          assertTrue(previous == null || previous.equals(folder), name + " is in " + previous + " and " + folder);
        }
      }
    }
  }
}
