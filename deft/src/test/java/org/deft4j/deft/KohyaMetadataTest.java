package org.deft4j.deft;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.OptionalInt;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import org.deft4j.deft.KohyaMetadata.Base;
import org.deft4j.deft.KohyaNames.Style;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.SafetensorsFile;
import org.deft4j.weights.SafetensorsWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

/** What a kohya file says of itself: read, kept, redacted, and its hashes. */
class KohyaMetadataTest {
  @TempDir private Path temp;

  private static KohyaMetadata of(String... keysAndValues) {
    Map<String, String> entries = new LinkedHashMap<>();
    for (int i = 0; i < keysAndValues.length; i += 2) {
      entries.put(keysAndValues[i], keysAndValues[i + 1]);
    }
    return new KohyaMetadata(entries);
  }

  private static String sha256(byte[] bytes, int from, int to) {
    try {
      return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(Arrays.copyOfRange(bytes, from, to)));
    } catch (NoSuchAlgorithmException e) {
      throw new AssertionError(e);
    }
  }

  private static float[] counted(int count) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = i;
    }
    return values;
  }

  /** Python's hashlib gave these for a file of 2.4 MB, made byte by byte, with the two {@code ss_} entries alone. */
  @Test
  void theHashesAreThoseOfPythonOverTheFile() {
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = Map.of("a", Tensor.of(counted(600_000)), "b", Tensor.of(counted(5)).cast(DType.F16));
      KohyaMetadata metadata = of("modelspec.title", "x", "ss_network_dim", "4", "sshs_legacy_hash", "old", "ss_network_alpha", "2.0",
          "user", "y");
      Map<String, String> written = metadata.forFile(tensors);
      assertEquals("322a83d9cb7ddc962a3b48ab2522c5db9bf3af800e689fa94d8af69a1f1809bc", written.get("sshs_model_hash"));
      assertEquals("c60bb939", written.get("sshs_legacy_hash"));
      assertEquals("0x322a83d9cb7ddc962a3b48ab2522c5db9bf3af800e689fa94d8af69a1f1809bc", written.get("modelspec.hash_sha256"));
      Map<String, String> small = of().forFile(Map.of("b", tensors.get("b")));
      assertEquals("b731c35aadca7a82f9fe15819bec7dd3aafe4c3bc018a00f767d2725c81b7d67", small.get("sshs_model_hash"));
      assertEquals("e3b0c442", small.get("sshs_legacy_hash"), "of no bytes: the file ends before the first MiB");
      assertFalse(small.containsKey("modelspec.hash_sha256"));
    }
  }

  /** Sizes around the ends of the window that the legacy hash looks at. */
  @Property(tries = 30)
  void theHashesAreThoseOfTheDefinition(@ForAll @IntRange(min = 0xFFF00, max = 0x110100) int bytes, @ForAll @IntRange(max = 30) int pad)
      throws IOException {
    Path file = Files.createTempFile("hashed", ".safetensors");
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = Map.of("t", Tensor.of(counted(bytes)).cast(DType.U8));
      Map<String, String> hashed = Map.of("ss_x", "x".repeat(pad));
      SafetensorsWriter.write(file, tensors, hashed);
      byte[] all = Files.readAllBytes(file);
      int header = 8 + (int) ByteBuffer.wrap(all).order(ByteOrder.LITTLE_ENDIAN).getLong();
      assertEquals(bytes, all.length - header);
      KohyaHashes hashes = KohyaHashes.of(tensors, Map.of("ss_x", "x".repeat(pad), "title", "y"));
      assertEquals(sha256(all, header, all.length), hashes.model());
      int end = Math.min(all.length, 0x110000);
      assertEquals(sha256(all, Math.min(0x100000, end), end).substring(0, 8), hashes.legacy());
    } finally {
      Files.delete(file);
    }
  }

  @Test
  void whatWasReadIsKeptAndOnlyTheHashesAreNew() {
    Path file = temp.resolve("lora.safetensors");
    KohyaMetadata metadata = of("ss_tag_frequency", "{\"10_dog\": {\"a, b\": 3, \"\\u00e9\": 1}}", "sshs_model_hash", "0",
        "zzz", "\u20AC\n", "ss_steps", "100", "modelspec.hash_sha256", "0x0");
    try (Scope _ = Scope.open()) {
      Map<String, Tensor> tensors = Map.of("lora_unet_conv_in.alpha", Tensor.of(new float[] {4}));
      SafetensorsWriter.write(file, tensors, metadata.forFile(tensors));
      try (SafetensorsFile read = SafetensorsFile.open(file)) {
        KohyaMetadata again = new KohyaMetadata(read.metadata());
        assertEquals(List.of("ss_tag_frequency", "sshs_model_hash", "zzz", "ss_steps", "modelspec.hash_sha256", "sshs_legacy_hash"),
            List.copyOf(again.entries().keySet()));
        for (String key : List.of("ss_tag_frequency", "zzz", "ss_steps")) {
          assertEquals(metadata.entries().get(key), again.entries().get(key));
        }
        assertNotEquals("0", again.entries().get("sshs_model_hash"));
        assertEquals("0x" + again.entries().get("sshs_model_hash"), again.entries().get("modelspec.hash_sha256"));
        assertEquals(again.entries(), again.forFile(tensors));
      }
    }
  }

  @Test
  void theNetworkIsReadWhereItIsStored() {
    KohyaMetadata metadata = of("ss_network_module", "networks.lora", "ss_network_dim", "32", "ss_network_alpha", "16.0",
        "ss_base_model_version", "sdxl_base_v1-0", "ss_sd_model_name", "sd_xl_base_1.0.safetensors");
    assertEquals(Optional.of("networks.lora"), metadata.networkModule());
    assertEquals(OptionalInt.of(32), metadata.networkDim());
    assertEquals(OptionalDouble.of(16), metadata.networkAlpha());
    assertEquals(Optional.of("sdxl_base_v1-0"), metadata.baseModelVersion());
    assertEquals(Optional.of("sd_xl_base_1.0.safetensors"), metadata.modelName());
    KohyaMetadata none = of();
    assertEquals(Optional.empty(), none.networkModule());
    assertEquals(OptionalInt.empty(), none.networkDim());
    assertEquals(OptionalDouble.empty(), none.networkAlpha());
    assertEquals(Optional.empty(), none.baseModelVersion());
    assertEquals(Optional.empty(), none.modelName());
    for (String value : List.of("None", "Dynamic", "", "NaN", "1e999")) {
      KohyaMetadata odd = of("ss_network_dim", value, "ss_network_alpha", value);
      assertEquals(OptionalInt.empty(), odd.networkDim(), value);
      assertEquals(OptionalDouble.empty(), odd.networkAlpha(), value);
    }
    for (String value : List.of("0", "-4", "2.5", "1e12")) {
      assertEquals(OptionalInt.empty(), of("ss_network_dim", value).networkDim(), value);
    }
  }

  @Test
  void aNewFileSaysTheLeastThatReadersLookAt() {
    assertEquals(Map.of("ss_network_module", "networks.lora", "ss_network_dim", "8", "ss_network_alpha", "4.0", "ss_v2", "False",
        "ss_base_model_version", "sdxl_base_v1-0", "modelspec.sai_model_spec", "1.0.1",
        "modelspec.architecture", "stable-diffusion-xl-v1-base/lora",
        "modelspec.implementation", "https://github.com/Stability-AI/generative-models", "modelspec.title", "dog"),
        without(of().withNetwork(Base.SDXL, Style.SGM, "dog", 8, 4), "modelspec.resolution", "1024x1024"));
    KohyaMetadata changed = of("ss_network_dim", "Dynamic", "ss_epoch", "3", "modelspec.title", "Ada's cat", "modelspec.implementation", "x")
        .withNetwork(Base.SD_1, Style.DIFFUSERS, "cat", 16, 16);
    assertEquals(Map.of("ss_network_module", "networks.lora", "ss_network_dim", "Dynamic", "ss_network_alpha", "16.0", "ss_v2", "False",
        "ss_base_model_version", "sd_v1", "modelspec.sai_model_spec", "1.0.1", "modelspec.architecture", "stable-diffusion-v1/lora",
        "modelspec.implementation", "x", "modelspec.title", "Ada's cat", "ss_epoch", "3"),
        without(changed, "modelspec.resolution", "512x512"));
    assertEquals(changed, changed.redacted());
    KohyaMetadata turned = of("modelspec.implementation", "diffusers").withNetwork(Base.SDXL, Style.SGM, "x", 1, 1);
    assertEquals("https://github.com/Stability-AI/generative-models", turned.entries().get("modelspec.implementation"));
  }

  private static Map<String, String> without(KohyaMetadata metadata, String key, String value) {
    Map<String, String> rest = new LinkedHashMap<>(metadata.entries());
    assertTrue(rest.remove(key, value), key);
    return rest;
  }

  @Test
  void whatTellsOfTheDiskIsLeftOut() {
    for (String local : List.of("/home/me/dog.safetensors", "/data", "C:\\Users\\me\\x", "d:/models", "[\"a\", \"/mnt/x\"]",
        "{\"a\": [{\"image_dir\": \"/home/me/img\"}]}", "{\"a\": {\"/home/me/img\": 3}}", "{\"a\": \"C:\\\\Users\\\\me\"}",
        "{\"inner\": \"{\\\"dir\\\": \\\"/x/y\\\"}\"}", "trained on /scratch/x, then rested", "~/pictures", "file:///home/me",
        "preset=/opt/preset.toml", "\\\\server\\share\\x", "{\"a\": \"\\\\\\\\server\\\\share\"}", "['/home/me']",
        "{\"note\": \"two\\n/lines/of\"}", "/\u00e9t\u00e9/photos", "dirs:/a/b")) {
      assertEquals(Map.of("ss_epoch", "1"), of("some_key", local, "ss_epoch", "1").redacted().entries(), local);
    }
    for (String key : List.of("ss_dataset_dirs", "ss_reg_dataset_dirs", "ss_train_data_dir")) {
      assertEquals(Map.of(), of(key, "{}").redacted().entries(), key);
    }
  }

  @Test
  void whatTellsNothingOfTheDiskStays() {
    for (String harmless : List.of("sd_xl_base_1.0.safetensors", "stabilityai/stable-diffusion-xl-base-1.0", "https://github.com/x/y",
        "{\"site\": \"https://x.org/y\"}", "1/2", "and / or", "{\"1girl, w/ hat\": 3, \":/\": 1, \"/\\\\/\\\\/\\\\\": 2}", "ratio 16:9",
        "data:image/jpeg;base64,/9j/4AAQSkZJRg", "data:image/png;base64,iVBORw0KGgo/abc", "saber \\\\(fate\\\\)", "10:30", "",
        "sd-scripts/48d368f", "2026-01-02T03:04:05")) {
      assertEquals(Map.of("ss_epoch", harmless), of("ss_epoch", harmless).redacted().entries(), harmless);
    }
  }
}
