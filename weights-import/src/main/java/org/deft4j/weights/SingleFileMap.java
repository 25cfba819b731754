package org.deft4j.weights;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import org.deft4j.tensor.Shape;

/** Which component each tensor of a single-file checkpoint belongs to, and what it becomes there; worked out from the names. */
final class SingleFileMap {
  static final String UNET_PREFIX = "model.diffusion_model.";
  static final String VAE_PREFIX = "first_stage_model.";

  /** What one tensor becomes; no piece: it is passed over. */
  record Mapping(String component, List<Piece> pieces) {}

  /** Buffers of the noise schedule, an averaged copy of the weights, and the autoencoder's training loss. */
  private static final Pattern IGNORED = Pattern.compile("model_ema\\..*|first_stage_model\\.loss\\..*"
      + "|(alphas_cumprod|alphas_cumprod_prev|betas|sqrt_alphas_cumprod|sqrt_one_minus_alphas_cumprod"
      + "|log_one_minus_alphas_cumprod|sqrt_recip_alphas_cumprod|sqrt_recipm1_alphas_cumprod|posterior_variance"
      + "|posterior_log_variance_clipped|posterior_mean_coef1|posterior_mean_coef2|logvar|lvlb_weights"
      + "|denoiser\\.sigmas|denoiser\\.log_sigmas)");

  private final SingleFileFamily family;
  private final LdmUNetNames unet;
  private final LdmVaeNames vae;

  private SingleFileMap(SingleFileFamily family, Set<String> names) {
    this.family = family;
    this.unet = LdmUNetNames.ofLdm(under(UNET_PREFIX, names));
    this.vae = new LdmVaeNames(under(VAE_PREFIX, names));
  }

  private static List<String> under(String prefix, Set<String> names) {
    return names.stream().filter(name -> name.startsWith(prefix)).map(name -> name.substring(prefix.length())).toList();
  }

  /** The mapping of every tensor that is not to be ignored; refuses, all at once, names that it does not understand. */
  static Map<String, Mapping> of(String source, SingleFileFamily family, Map<String, Shape> tensors) {
    SingleFileMap map = new SingleFileMap(family, tensors.keySet());
    Map<String, Mapping> mappings = new LinkedHashMap<>();
    List<String> unknown = new ArrayList<>();
    tensors.forEach((name, shape) -> {
      if (!IGNORED.matcher(name).matches()) {
        Mapping mapping = map.mapping(name, shape);
        if (mapping == null) {
          unknown.add(Text.quote(name) + " " + shape);
        } else {
          mappings.put(name, mapping);
        }
      }
    });
    if (!unknown.isEmpty()) {
      throw new FormatException(source + ": " + unknown.size() + " tensors have no place in " + family.title() + ": "
          + String.join(", ", unknown.subList(0, Math.min(20, unknown.size()))) + (unknown.size() > 20 ? ", ..." : ""));
    }
    return mappings;
  }

  private Mapping mapping(String name, Shape shape) {
    if (name.startsWith(UNET_PREFIX)) {
      return copy("unet", unet.diffusers(name.substring(UNET_PREFIX.length())), shape, _ -> false);
    }
    if (name.startsWith(VAE_PREFIX)) {
      return copy("vae", vae.diffusers(name.substring(VAE_PREFIX.length())), shape,
          diffusers -> diffusers.contains(".attentions.") && shape.rank() == 4);
    }
    if (name.startsWith(family.textPrefix())) {
      String inside = name.substring(family.textPrefix().length());
      return Weights.isBuffer(inside) ? new Mapping("text_encoder", List.of())
          : copy("text_encoder", inside.startsWith("text_model.") ? inside : null, shape, _ -> false);
    }
    if (family.openClipPrefix().filter(name::startsWith).isPresent()) {
      List<Piece> pieces = OpenClipNames.pieces(name.substring(family.openClipPrefix().get().length()), shape);
      return pieces == null ? null : new Mapping("text_encoder_2", pieces);
    }
    return null;
  }

  private static Mapping copy(String component, String name, Shape shape, Predicate<String> isConvolution) {
    if (name == null) {
      return null;
    }
    if (!isConvolution.test(name)) {
      return new Mapping(component, List.of(new Piece.Copy(name)));
    }
    return shape.size(2) == 1 && shape.size(3) == 1 ? new Mapping(component, List.of(new Piece.Squeezed(name))) : null;
  }
}
