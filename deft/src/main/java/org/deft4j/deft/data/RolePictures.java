package org.deft4j.deft.data;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.SortedMap;
import java.util.SortedSet;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.deft4j.deft.InputException;
import org.deft4j.deft.Nearest;
import org.deft4j.deft.PictureFolder;
import org.deft4j.diffusion.image.Picture;
import org.deft4j.diffusion.image.PictureException;
import org.deft4j.diffusion.image.Pictures;
import org.deft4j.diffusion.image.PngWriter;
import org.deft4j.tensor.TorchRandom;

/**
 * Pictures by the role they play (canny, depth, target, ...) and by the sample they belong to: those of one sample show the
 * same thing.
 *
 * <p>On disk a role is a folder, and both ways of naming its files are read, also side by side: {@code canny/0_canny.jpg},
 * as in VisualCloze's data, and {@code canny/0.jpg}. Either is the picture of sample {@code 0}: the end {@code _canny} does
 * not count in the folder of that name.
 */
public final class RolePictures {
  /** Role, sample, file. */
  private final SortedMap<String, SortedMap<String, Path>> files;

  private RolePictures(SortedMap<String, SortedMap<String, Path>> files) {
    this.files = files;
  }

  /**
   * The pictures below {@code root}, each of whose folders is a role; hidden ones are passed over.
   *
   * @throws InputException listing all that is wrong: no folder, no picture in one, files that are none, a sample twice in a role
   */
  public static RolePictures read(Path root) {
    List<Path> folders;
    try (Stream<Path> all = Files.list(root)) {
      folders = all.filter(Files::isDirectory).filter(path -> !path.getFileName().toString().startsWith(".")).sorted().toList();
    } catch (IOException e) {
      throw new InputException("folder " + root + " of roles cannot be read" + (Files.exists(root) ? ": " + e.getMessage()
          : ", it does not exist"), e);
    }
    if (folders.isEmpty()) {
      throw new InputException("folder " + root + " has no roles in it; " + root.resolve("canny").resolve("0_canny.png")
          + " and " + root.resolve("target").resolve("0_target.png") + " would be two pictures of a sample");
    }
    Problems problems = new Problems();
    SortedMap<String, SortedMap<String, Path>> files = new TreeMap<>();
    for (Path folder : folders) {
      String role = folder.getFileName().toString();
      files.put(role, samples(role, folder, problems));
    }
    problems.throwIfAny();
    return new RolePictures(files);
  }

  /**
   * The pictures of one folder, all in one role.
   *
   * @throws InputException listing all that is wrong, as {@link #read} does
   */
  public static RolePictures of(String role, Path folder) {
    Problems problems = new Problems();
    SortedMap<String, Path> samples = samples(role, folder, problems);
    problems.throwIfAny();
    return new RolePictures(new TreeMap<>(Map.of(role, samples)));
  }

  private static SortedMap<String, Path> samples(String role, Path folder, Problems problems) {
    SortedMap<String, Path> samples = new TreeMap<>();
    try {
      for (Path file : PictureFolder.files(folder)) {
        String name = file.getFileName().toString();
        String stem = name.substring(0, name.lastIndexOf('.'));
        String end = "_" + role;
        String sample = stem.endsWith(end) && stem.length() > end.length() ? stem.substring(0, stem.length() - end.length()) : stem;
        Path other = samples.putIfAbsent(sample, file);
        if (other != null) {
          problems.add("pictures " + other + " and " + file + " are both of sample '" + sample + "' in role '" + role + "'");
        }
        requirePicture(file, problems);
      }
    } catch (InputException e) {
      problems.addAll(e.problems());
    }
    return samples;
  }

  private static void requirePicture(Path file, Problems problems) {
    try {
      Pictures.requirePicture(file);
    } catch (PictureException e) {
      problems.add(e.getMessage());
    }
  }

  /** The roles, in the order of the alphabet. */
  public SortedSet<String> roles() {
    return new TreeSet<>(files.keySet());
  }

  /**
   * The file of a sample in a role.
   *
   * @throws InputException if there is no such role, or the sample has no picture in it
   */
  public Path file(String role, String sample) {
    Path file = inRole(role).get(sample);
    if (file == null) {
      throw new InputException("sample '" + sample + "' has no picture in role '" + role + "'");
    }
    return file;
  }

  /** The samples that have a picture in each of {@code roles}, in the order of the alphabet. */
  public SortedSet<String> samples(List<String> roles) {
    SortedSet<String> samples = anyOf(roles);
    roles.forEach(role -> samples.retainAll(inRole(role).keySet()));
    return samples;
  }

  /** The samples that have a picture in some of {@code roles}, but not in all. */
  public SortedSet<String> incomplete(List<String> roles) {
    SortedSet<String> samples = anyOf(roles);
    samples.removeAll(samples(roles));
    return samples;
  }

  private SortedSet<String> anyOf(List<String> roles) {
    SortedSet<String> samples = new TreeSet<>();
    roles.forEach(role -> samples.addAll(inRole(role).keySet()));
    return samples;
  }

  private SortedMap<String, Path> inRole(String role) {
    SortedMap<String, Path> samples = files.get(role);
    if (samples == null) {
      throw new InputException("there are no pictures in role '" + role + "': " + String.join(", ", files.keySet()) + " are there"
          + Nearest.hint(role, files.keySet()));
    }
    return samples;
  }

  /**
   * These, and with them what {@code condition} makes of each picture in role {@code from}, written to {@code
   * root/role/sample_role.png}. What is random depends on the seed, the role and the sample's name alone.
   *
   * @throws InputException if there is no role {@code from}, one of the condition's name is there already, or pictures cannot
   *     be read, all of which are listed
   * @throws UncheckedIOException if one cannot be written
   */
  public RolePictures with(Condition condition, String from, Path root, long seed) {
    String role = condition.role();
    if (files.containsKey(role)) {
      throw new InputException("there are pictures in role '" + role + "' already");
    }
    Path folder = root.resolve(role);
    SortedMap<String, Path> made = new TreeMap<>();
    Problems problems = new Problems();
    for (Map.Entry<String, Path> sample : inRole(from).entrySet()) {
      long own = 31 * (31 * seed + role.hashCode()) + sample.getKey().hashCode();
      Path file = folder.resolve(sample.getKey() + "_" + role + ".png");
      try {
        Picture picture = condition.of(Pictures.read(sample.getValue()), new TorchRandom(own));
        Files.createDirectories(folder);
        PngWriter.write(file, picture, Map.of());
        made.put(sample.getKey(), file);
      } catch (PictureException e) {
        problems.add(e.getMessage());
      } catch (IOException e) {
        throw new UncheckedIOException("folder " + folder + " cannot be made: " + e, e);
      }
    }
    problems.throwIfAny();
    SortedMap<String, SortedMap<String, Path>> more = new TreeMap<>(files);
    more.put(role, made);
    return new RolePictures(more);
  }
}
