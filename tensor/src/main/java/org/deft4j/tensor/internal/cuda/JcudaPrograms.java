package org.deft4j.tensor.internal.cuda;

import java.io.IOException;
import java.lang.System.Logger.Level;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import jcuda.nvrtc.JNvrtc;
import jcuda.nvrtc.nvrtcProgram;
import jcuda.nvrtc.nvrtcResult;
import org.deft4j.tensor.DeviceException;

/**
 * The sources compiled by NVRTC for the card at hand. What was compiled is kept in a folder ({@code -Ddeft4j.cuda.cache}, else {@code
 * deft4j/cuda} in the user's cache), under a name made of everything that it depends on: source, options, compiler and driver. Where it
 * cannot be kept, each process compiles for itself.
 */
final class JcudaPrograms {
  private final String[] options;
  private final String version;
  private final Path folder;

  /**
   * @param architecture {@code sm_90}
   * @param driver its version
   */
  JcudaPrograms(String architecture, int driver) {
    // Closures have a constructor, which nobody can say is the card's.
    this.options = new String[] {"--gpu-architecture=" + architecture, "--std=c++17", "--device-as-default-execution-space"};
    int[] major = new int[1];
    int[] minor = new int[1];
    check(JNvrtc.nvrtcVersion(major, minor), "nvrtcVersion");
    this.version = "nvrtc " + major[0] + "." + minor[0] + ", driver " + driver;
    this.folder = folder();
  }

  private static Path folder() {
    String given = System.getProperty("deft4j.cuda.cache");
    if (given != null) {
      return Path.of(given);
    }
    String cache = System.getenv("XDG_CACHE_HOME");
    return (cache == null || cache.isBlank() ? Path.of(System.getProperty("user.home"), ".cache") : Path.of(cache)).resolve("deft4j/cuda");
  }

  private static void check(int result, String what) {
    if (result != nvrtcResult.NVRTC_SUCCESS) {
      throw new DeviceException("device cuda: " + what + ": " + JNvrtc.nvrtcGetErrorString(result));
    }
  }

  private Path file(String source, String text) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update((version + "\n" + String.join(" ", options) + "\n" + text).getBytes(StandardCharsets.UTF_8));
      return folder.resolve(source + "-" + HexFormat.of().formatHex(digest.digest(), 0, 16) + ".cubin");
    } catch (NoSuchAlgorithmException e) {
      throw new IllegalStateException("every Java platform has SHA-256", e);
    }
  }

  /** What was compiled of a source before; null if nothing was. */
  byte[] kept(String source) {
    Path file = file(source, Sources.text(source));
    try {
      return Files.exists(file) ? Files.readAllBytes(file) : null;
    } catch (IOException _) {
      return null;
    }
  }

  /**
   * Compiles a source, and keeps the result.
   *
   * @throws DeviceException if it does not compile, with what the compiler said
   */
  byte[] compiled(String source) {
    String text = Sources.text(source);
    nvrtcProgram program = new nvrtcProgram();
    check(JNvrtc.nvrtcCreateProgram(program, text, source + ".cu", 0, null, null), "nvrtcCreateProgram");
    try {
      int result = JNvrtc.nvrtcCompileProgram(program, options.length, options);
      if (result != nvrtcResult.NVRTC_SUCCESS) {
        String[] log = new String[1];
        JNvrtc.nvrtcGetProgramLog(program, log);
        throw new DeviceException("device cuda: " + source + ".cu does not compile with " + version + ", " + String.join(" ", options) + ": "
            + JNvrtc.nvrtcGetErrorString(result) + "\n" + log[0]);
      }
      long[] size = new long[1];
      check(JNvrtc.nvrtcGetCUBINSize(program, size), "nvrtcGetCUBINSize");
      byte[] cubin = new byte[Math.toIntExact(size[0])];
      check(JNvrtc.nvrtcGetCUBIN(program, cubin), "nvrtcGetCUBIN");
      keep(file(source, text), cubin);
      return cubin;
    } finally {
      JNvrtc.nvrtcDestroyProgram(program);
    }
  }

  /** Another process that compiles the same writes the same: whoever comes last replaces it whole. */
  private static void keep(Path file, byte[] cubin) {
    try {
      Files.createDirectories(file.getParent());
      Path made = Files.createTempFile(file.getParent(), "new", ".cubin");
      Files.write(made, cubin);
      Files.move(made, file, StandardCopyOption.ATOMIC_MOVE);
    } catch (IOException e) {
      System.getLogger("org.deft4j.tensor").log(Level.INFO, "compiled kernels are not kept: " + e);
    }
  }
}
