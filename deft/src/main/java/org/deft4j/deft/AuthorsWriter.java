package org.deft4j.deft;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import org.deft4j.nn.Linear;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Scope;
import org.deft4j.tensor.Tensor;
import org.deft4j.weights.Json;
import org.deft4j.weights.JsonObject;
import org.deft4j.weights.TorchFileWriter;

/**
 * Writes what the DEFT authors' code loads; see {@link AuthorsFiles}. Their projections know no scale: it is multiplied into R.
 */
final class AuthorsWriter {
  private final AdapterSet set;
  private final DType type;
  private final Map<String, Tensor> tensors = new LinkedHashMap<>();
  private final Map<String, Object> layers = new LinkedHashMap<>();

  private AuthorsWriter(AdapterSet set, DType type) {
    this.set = set;
    this.type = type;
  }

  /**
   * A folder of the OmniGen code.
   *
   * @param metadata what the file that was read said about itself
   */
  static void folder(Path folder, AdapterSet set, DType type, Map<String, String> metadata) {
    requireLinear(set);
    try (Scope _ = Scope.open()) {
      AuthorsWriter writer = new AuthorsWriter(set, type);
      boolean para = set.config().method() == Method.PARA;
      set.adapters().forEach((path, adapter) -> {
        switch (adapter) {
          case DeftAdapter deft -> writer.deft(path, deft);
          case ParaAdapter paRa -> writer.para(path, paRa);
          case DoraAdapter _ -> throw new InputException("the DEFT authors' files have no place for the lengths of dora");
          case LoraAdapter lora -> writer.lora(path, lora);
          case LoraParaAdapter _ -> throw new InputException("the DEFT authors' files have no place for lora-para");
        }
      });
      String name = para ? AuthorsFiles.PARA : AuthorsFiles.INJECTION;
      TorchFileWriter.write(folder.resolve(name + AuthorsFiles.STATE), writer.tensors);
      Map<String, Object> config = kept(metadata.get(AdapterMetadata.AUTHORS_CONFIG), writer.layers);
      Json.write(folder.resolve(name + AuthorsFiles.CONFIG), config);
      TorchFileWriter.writePlain(folder.resolve(name + AuthorsFiles.PICKLED_CONFIG), config);
    }
  }

  /** A file of the SDXL code, which knows {@code M = P P^T} for DEFT and QR for PaRa. */
  static void sdxl(Path file, AdapterSet set, DType type) {
    Decomposition decomposition = set.config().decomposition();
    boolean fits = switch (set.config().method()) {
      case DEFT -> decomposition instanceof RelaxedDecomposition;
      case PARA -> decomposition instanceof QrDecomposition;
      case LORA, DORA, LORA_PARA -> false;
    };
    if (!fits) {
      throw new InputException("the DEFT authors' SDXL file holds deft with the decomposition relaxed, or para with qr; this is "
          + describe(set.config()));
    }
    requireLinear(set);
    try (Scope _ = Scope.open()) {
      AuthorsWriter writer = new AuthorsWriter(set, type);
      set.adapters().forEach((path, adapter) -> {
        writer.put(path + AuthorsFiles.LAYER + ".P", adapter, DeftAdapter.P);
        if (adapter instanceof DeftAdapter deft) {
          writer.input(path + AuthorsFiles.LAYER + ".R_new", deft);
          writer.put(path + AuthorsFiles.LAYER + AuthorsFiles.GATE, adapter, DeftAdapter.GATE);
        } else {
          // Their PaRa has a gate that does nothing, and does not load without it.
          writer.tensors.put(path + AuthorsFiles.LAYER + AuthorsFiles.GATE, Tensor.zeros(type, 1));
        }
      });
      TorchFileWriter.write(file, writer.tensors);
    }
  }

  /** The configuration that was read, of the layers that are written; a new one where there was none. */
  private static Map<String, Object> kept(String read, Map<String, Object> layers) {
    Map<String, Object> all = new LinkedHashMap<>(Map.of(AuthorsFiles.LAYERS, layers));
    if (read != null) {
      JsonObject json = Json.parse(read, AdapterMetadata.AUTHORS_CONFIG);
      all.putAll(json.asMap());
      Map<String, Object> known = new LinkedHashMap<>(json.requireObject(AuthorsFiles.LAYERS).asMap());
      known.keySet().retainAll(layers.keySet());
      all.put(AuthorsFiles.LAYERS, known);
    }
    return all;
  }

  private static void requireLinear(AdapterSet set) {
    set.adapters().forEach((path, adapter) -> {
      if (!(adapter.layer() instanceof Linear)) {
        throw new InputException("layer " + path + " is a convolution, which the DEFT authors' code does not adapt");
      }
    });
  }

  private static String describe(AdapterConfig config) {
    return config.method().label() + (config.decomposition() == null ? "" : " with " + config.decomposition().method());
  }

  private void put(String name, LayerAdapter adapter, String matrix) {
    Tensor value = adapter.tensors().get(matrix);
    if (value != null) {
      tensors.put(name, Finite.cast(value, type, name));
    }
  }

  private void input(String name, DeftAdapter adapter) {
    Tensor r = adapter.tensors().get(DeftAdapter.R);
    tensors.put(name, Finite.cast(adapter.scale() == 1 ? r : r.mul(adapter.scale()), type, name));
  }

  private Map<String, Object> layer(String path, LayerAdapter adapter) {
    Map<String, Object> layer = new LinkedHashMap<>();
    layer.put("r", adapter.rank());
    layer.put("in_features", adapter.layer().weight().shape().size(1));
    layer.put("out_features", adapter.layer().weight().shape().size(0));
    layers.put(path, layer);
    return layer;
  }

  private void deft(String path, DeftAdapter adapter) {
    String decomposition = switch (set.config().decomposition()) {
      case RelaxedDecomposition _, ReluDecomposition _, RectifiedDecomposition _ -> "None";
      case QrDecomposition _, FrozenQrDecomposition _ -> "qr";
      default -> throw new InputException("the DEFT authors' code knows relaxed, relu, relu-relu, qr and qr-frozen for deft; this is "
          + set.config().decomposition().method());
    };
    if (set.config().extras().sparsity() > 0) {
      throw new InputException("the DEFT authors' code knows no mask for deft");
    }
    boolean frozen = set.config().decomposition() instanceof FrozenQrDecomposition;
    put(path + ".P", adapter, DeftAdapter.P);
    input(path + ".R_new", adapter);
    put(path + AuthorsFiles.GATE, adapter, DeftAdapter.GATE);
    if (frozen) {
      put(path + AuthorsFiles.CACHED, adapter, DeftAdapter.P);
    }
    Map<String, Object> layer = layer(path, adapter);
    layer.put("injection_method", "residual_projection");
    layer.put("lora_alpha", adapter.rank());
    layer.put("lora_dropout", dropout());
    layer.put("init_scale", set.config().initScale());
    layer.put("use_gating", set.config().extras().gate());
    layer.put("decomposition_method", decomposition);
    layer.put("compute_svd_each_forward", !frozen);
  }

  private double dropout() {
    return set.config().extras().dropout().probability();
  }

  private void lora(String path, LoraAdapter adapter) {
    put(path + ".lora_A", adapter, LoraAdapter.B);
    put(path + ".lora_B", adapter, LoraAdapter.A);
    put(path + AuthorsFiles.GATE, adapter, DeftAdapter.GATE);
    Map<String, Object> layer = layer(path, adapter);
    layer.put("injection_method", "additive_update");
    layer.put("lora_alpha", adapter.alpha());
    layer.put("lora_dropout", dropout());
    layer.put("use_gating", set.config().extras().gate());
    layer.put("decomposition_method", "None");
  }

  private void para(String path, ParaAdapter adapter) {
    Decomposition decomposition = set.config().decomposition();
    Map<String, Object> layer = layer(path, adapter);
    layer.put("lora_alpha", adapter.rank());
    layer.put("decomposition_method", decomposition.method());
    switch (decomposition) {
      case NmfDecomposition(boolean official) when official -> {
        Tensor p = adapter.tensors().get(DeftAdapter.P);
        long r = adapter.rank();
        tensors.put(path + ".W", Finite.cast(p.slice(1, 0, r).contiguous(), type, path + ".W"));
        tensors.put(path + ".H", Finite.cast(p.slice(1, r, 2 * r).t().contiguous(), type, path + ".H"));
      }
      case QrDecomposition _, TsvdDecomposition _, LrmfDecomposition _, EigenDecomposition _ -> {
        boolean sparse = adapter.tensors().containsKey(DeftAdapter.MASK);
        put(path + (sparse ? ".B_dense" : ".B"), adapter, DeftAdapter.P);
        put(path + ".sparse_mask", adapter, DeftAdapter.MASK);
        if (sparse) {
          layer.put("sparse_parameterization", true);
          layer.put("sparsity_factor", set.config().extras().sparsity());
        }
      }
      default -> throw new InputException("the DEFT authors' code knows qr, tsvd, lrmf, eigen and nmf for para; this is "
          + decomposition.method());
    }
    if (decomposition.truncation().variance() < 1) {
      layer.put("adaptive_rank", true);
      layer.put("variance_threshold", decomposition.truncation().variance());
    }
  }
}
