package org.deft4j.weights;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import java.util.regex.Pattern;

/**
 * Models that Hugging Face's tools have downloaded: {@code models--org--name/snapshots/<commit>}, where
 * {@code refs/main} holds the commit. Nothing is ever downloaded here.
 */
public final class HuggingFaceCache {
  /** Owner and name as the hub spells them. */
  private static final Pattern REPOSITORY = Pattern.compile("[A-Za-z0-9][\\w.-]{0,95}/[A-Za-z0-9][\\w.-]{0,95}");
  private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{7,64}");

  private HuggingFaceCache() {}

  /** Whether the text has the form {@code org/name}. */
  public static boolean isRepository(String text) {
    return REPOSITORY.matcher(text).matches() && !text.contains("..");
  }

  /** The cache's folder: {@code $HF_HUB_CACHE}, else {@code $HF_HOME/hub}, else {@code ~/.cache/huggingface/hub}. */
  public static Path folder(Map<String, String> environment) {
    if (given(environment, "HF_HUB_CACHE")) {
      return Path.of(environment.get("HF_HUB_CACHE"));
    }
    if (given(environment, "HF_HOME")) {
      return Path.of(environment.get("HF_HOME")).resolve("hub");
    }
    Path caches = given(environment, "XDG_CACHE_HOME") ? Path.of(environment.get("XDG_CACHE_HOME"))
        : Path.of(System.getProperty("user.home")).resolve(".cache");
    return caches.resolve("huggingface").resolve("hub");
  }

  private static boolean given(Map<String, String> environment, String key) {
    return !environment.getOrDefault(key, "").isEmpty();
  }

  /** The folder of the newest downloaded version of {@code org/name}. */
  public static Path find(String repository, Map<String, String> environment) {
    if (!isRepository(repository)) {
      throw new FormatException(Text.quote(repository) + " is not of the form org/name");
    }
    Path hub = folder(environment);
    Path model = hub.resolve("models--" + repository.replace("/", "--"));
    Path main = model.resolve("refs").resolve("main");
    if (!Files.exists(main)) {
      throw new FormatException("the model " + repository + " is not in the Hugging Face cache " + hub
          + ", and nothing is downloaded here; fetch it with: hf download " + repository);
    }
    try {
      String commit = Files.readString(main).strip();
      Path snapshot = model.resolve("snapshots").resolve(COMMIT.matcher(commit).matches() ? commit : "-");
      if (!Files.isDirectory(snapshot)) {
        throw FormatException.of(main, "names the version " + Text.quote(commit) + ", which is not among the snapshots; "
            + "fetch it again with: hf download " + repository);
      }
      return snapshot;
    } catch (IOException e) {
      throw FormatException.unreadable(main, e);
    }
  }

  /**
   * Whether {@code file} is where a link of a snapshot may point: {@code folder} is inside
   * {@code models--x/snapshots/<commit>} and {@code file} inside {@code models--x/blobs}. Both are real paths.
   */
  static boolean isBlobOf(Path folder, Path file) {
    for (Path at = folder; at != null && at.getParent() != null; at = at.getParent()) {
      if (at.getFileName().toString().equals("snapshots")) {
        return at.getParent().getFileName().toString().startsWith("models--")
            && file.startsWith(at.resolveSibling("blobs"));
      }
    }
    return false;
  }
}
