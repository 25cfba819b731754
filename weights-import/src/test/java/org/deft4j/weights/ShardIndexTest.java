package org.deft4j.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** Sharded models load, and an index that lies is refused with the entry that does. */
class ShardIndexTest {
  @TempDir private Path temp;
  private Path folder;

  @BeforeEach
  void twoShards() throws IOException {
    folder = Files.createDirectory(temp.resolve("model"));
    try (Scope _ = Scope.open()) {
      SafetensorsWriter.write(folder.resolve("one.safetensors"), Map.of("a", Tensor.of(new float[] {1, 2})), Map.of("format", "pt"));
      SafetensorsWriter.write(folder.resolve("two.safetensors"), Map.of("b", Tensor.of(new float[] {3}), "c",
          Tensor.of(new double[] {4})), Map.of());
    }
  }

  private ShardIndex open(Map<String, ?> map, Object totalSize) {
    Path index = folder.resolve("model.safetensors.index.json");
    Map<String, Object> json = new LinkedHashMap<>();
    if (totalSize != null) {
      json.put("metadata", Map.of("total_size", totalSize));
    }
    json.put("weight_map", map);
    Json.write(index, json);
    return ShardIndex.open(index);
  }

  private static Map<String, String> map(String a, String b, String c) {
    return Map.of("a", a, "b", b, "c", c);
  }

  private void refused(String message, Map<String, ?> map, Object totalSize) {
    FormatException error = assertThrows(FormatException.class, () -> open(map, totalSize).close());
    assertTrue(error.getMessage().contains(message), error.getMessage());
    assertTrue(error.getMessage().startsWith(folder.toString()), error.getMessage());
  }

  @Test
  void tensorsAreFoundInTheirShards() {
    for (Object total : new Object[] {20, 20.0, null}) {
      try (Scope _ = Scope.open();
          ShardIndex index = open(map("one.safetensors", "two.safetensors", "two.safetensors"), total)) {
        assertEquals(Set.of("a", "b", "c"), index.names());
        assertEquals(2, index.load("a").toFloats()[1]);
        assertEquals(4, index.load("c").item());
        assertEquals(Map.of("format", "pt"), index.metadata());
      }
    }
  }

  @Test
  void hostileIndicesAreRefused() throws IOException {
    String one = "one.safetensors";
    String two = "two.safetensors";
    Files.copy(folder.resolve(one), temp.resolve("outside.safetensors"));
    refused("'../outside.safetensors' is not the name of a file beside the index", map("../outside.safetensors", two, two), 20);
    refused("outside.safetensors' is not the name of a file beside the index",
        map(temp.resolve("outside.safetensors").toString(), two, two), 20);
    refused("is not the name of a file beside the index", map("..\\outside.safetensors", two, two), 20);
    refused("'..' is not the name", map("..", two, two), 20);
    refused("'' is not the name", map("", two, two), 20);
    refused("is not the name", map("x\0y", two, two), 20);
    Files.createSymbolicLink(folder.resolve("link.safetensors"), temp.resolve("outside.safetensors"));
    refused("'link.safetensors' is a link to " + temp.toRealPath().resolve("outside.safetensors") + ", outside the folder",
        map("link.safetensors", two, two), 20);
    refused("the file 'three.safetensors' is missing", map("three.safetensors", two, two), 20);
    refused("tensor 'b' is not in 'one.safetensors'", Map.of("a", one, "b", one), 8);
    refused("does not name tensor 'c', which is in 'two.safetensors'", Map.of("a", one, "b", two), 12);
    refused("metadata.total_size is 21, the tensors have 20 bytes", map(one, two, two), 21);
    refused("weight_map.a: expected a string, found the number 1", Map.of("a", 1, "b", two, "c", two), 20);
  }

  @Test
  void aTensorInTwoShardsIsRefused() {
    try (Scope _ = Scope.open()) {
      SafetensorsWriter.write(folder.resolve("two.safetensors"), Map.of("a", Tensor.of(new float[] {9, 9}), "b",
          Tensor.of(new float[] {3})), Map.of());
    }
    refused("tensor 'a' is in 'two.safetensors', weight_map says 'one.safetensors'",
        Map.of("a", "one.safetensors", "b", "two.safetensors"), 20);
  }

  @Test
  void aShardThatIsNoSafetensorsFileIsRefused() throws IOException {
    Files.write(folder.resolve("two.safetensors"), new byte[5]);
    refused("two.safetensors: is not a safetensors file", map("one.safetensors", "two.safetensors", "two.safetensors"), 20);
  }
}
