package org.deft4j.deft;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Pattern;
import org.deft4j.deft.AdapterReader.Naming;
import org.deft4j.deft.AdapterReader.Place;
import org.deft4j.deft.AdapterReader.Site;
import org.deft4j.nn.Module;

/**
 * What there is to say of tensors of an adapter file that belong to no layer: which layers have names near to theirs, as the file would
 * write them; and whether another part of the pipeline has layers of exactly their names, as where a text encoder's adapter is read for
 * the UNet.
 */
final class Strangers {
  private static final int SHOWN = 5;
  private static final String ALPHA = ".alpha";
  /** What follows the layer in a tensor's name; counted in, it would make layers with longer names seem nearer. */
  private static final Pattern MATRIX = Pattern.compile("\\.(?:lora|deft_|dora_scale|R_new|alpha).*");
  /** What kohya's flat names begin with, for any part. */
  private static final Pattern COMPONENT = Pattern.compile("^lora_(?:unet|te\\d?)_");

  /** The layers that the file may adapt, by what it calls them. */
  private final Map<String, String> known = new LinkedHashMap<>();
  /** The parts of the pipeline that have a layer of this name, which does not tell the part. */
  private final Map<String, Set<String>> parts = new LinkedHashMap<>();
  /** The parts of kohya's components, by what their flat names begin with; empty where layers go by their paths. */
  private final Map<String, String> components = new LinkedHashMap<>();
  /** The part of a tensor whose name tells none. */
  private final String main;
  /** How tensors would be read for a part, {@code %s}. */
  private final String remedy;

  private Strangers(String main, String remedy) {
    this.main = main;
    this.remedy = remedy;
  }

  /**
   * In a file that calls layers by their paths.
   *
   * @param read the names of the parts that it is read for, the main one first
   * @param pipeline all parts that adapters may belong to
   * @param remedy how its tensors would be read for a part {@code %s}, from the semicolon on
   */
  static Strangers byPath(Set<String> read, Map<String, Module> pipeline, String remedy) {
    Strangers strangers = new Strangers(read.iterator().next(), remedy);
    pipeline.forEach((part, model) -> Targets.layers(model).keySet().forEach(path -> {
      if (read.contains(part)) {
        strangers.known.put(path, path);
      }
      strangers.parts.computeIfAbsent(path, _ -> new TreeSet<>()).add(part);
    }));
    return strangers;
  }

  /**
   * In a file of kohya's.
   *
   * @param tables the names of the layers, each table with its part
   */
  static Strangers byFlatName(Map<KohyaNames, String> tables) {
    Strangers strangers = new Strangers("", "");
    tables.forEach((table, part) -> {
      strangers.components.put(table.component().prefix(), part);
      table.layers().forEach((flat, path) -> {
        strangers.known.put(flat, path);
        strangers.parts.computeIfAbsent(flat.substring(table.component().prefix().length()), _ -> new TreeSet<>()).add(part);
      });
    });
    return strangers;
  }

  /** Words about {@code foreign}, of which there is at least one, in a file of this method: {@code ", such as ..."}. */
  String describe(List<String> foreign, Naming naming, Method method) {
    StringBuilder text = new StringBuilder(", such as ").append(String.join(", ", foreign.subList(0, Math.min(SHOWN, foreign.size()))));
    String first = foreign.getFirst();
    if (isThere(first, naming)) {
      text.append("; the layer of the first is there, but ").append(first.endsWith(ALPHA) ? "the file has no matrices for it"
          : "an adapter of method " + method.label() + " has no such tensor");
    } else if (!known.isEmpty() && (!components.isEmpty() || elsewhere(first, naming).isEmpty())) {
      text.append("; the layers nearest to the first are ").append(String.join(", ", nearest(first, naming)));
    }
    Set<String> others = new TreeSet<>();
    int count = 0;
    for (String name : foreign) {
      Set<String> elsewhere = elsewhere(name, naming);
      others.addAll(elsewhere);
      count += elsewhere.isEmpty() ? 0 : 1;
    }
    return count == 0 ? text.toString() : text.append("; ").append(count).append(" of them are named as layers of ")
        .append(String.join(" and ", others)).append(" are").append(remedy.formatted(others.iterator().next())).toString();
  }

  /** Whether what was said of them explains each. */
  boolean explains(List<String> foreign, Naming naming) {
    return foreign.stream().allMatch(name -> isThere(name, naming) || !elsewhere(name, naming).isEmpty());
  }

  private List<String> nearest(String tensor, Naming naming) {
    String name = components.isEmpty() ? site(tensor, naming).layer().replace(PeftFolder.PREFIX, "") : stem(tensor);
    return Nearest.names(name, known.keySet(), SHOWN).stream()
        .map(near -> near.equals(known.get(near)) ? near : near + " (" + known.get(near) + ")").toList();
  }

  private boolean isThere(String tensor, Naming naming) {
    Site site = site(tensor, naming);
    return parts.getOrDefault(site.layer(), Set.of()).contains(site.model());
  }

  /** The parts that have a layer of this name, and are not the one that the tensor is said to be of. */
  private Set<String> elsewhere(String tensor, Naming naming) {
    Site site = site(tensor, naming);
    Set<String> others = new TreeSet<>(parts.getOrDefault(site.layer(), Set.of()));
    return others.contains(site.model()) ? Set.of() : others;
  }

  /** The part that a tensor is said to be of, and the name of its layer there. */
  private Site site(String tensor, Naming naming) {
    if (!components.isEmpty()) {
      String stem = stem(tensor);
      String part = components.entrySet().stream().filter(component -> stem.startsWith(component.getKey())).map(Map.Entry::getValue)
          .findFirst().orElse("");
      return new Site(part, COMPONENT.matcher(stem).replaceFirst(""));
    }
    Place place = naming.place(tensor);
    if (place != null) {
      return place.site();
    }
    String stem = MATRIX.matcher(tensor).replaceFirst("");
    int dot = stem.indexOf('.');
    return dot > 0 && AdapterFiles.PARTS.contains(stem.substring(0, dot)) ? new Site(stem.substring(0, dot), stem.substring(dot + 1))
        : new Site(main, stem);
  }

  private static String stem(String tensor) {
    int dot = tensor.indexOf('.');
    return dot < 0 ? tensor : tensor.substring(0, dot);
  }
}
