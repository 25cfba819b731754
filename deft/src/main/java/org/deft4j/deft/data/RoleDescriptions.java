package org.deft4j.deft.data;

import java.util.Locale;
import java.util.Map;

/** What a picture of a role is, in words that fit into a sentence: "from {a depth map ...} to {a photograph}". */
public final class RoleDescriptions {
  private static final Map<String, String> WORDS = Map.ofEntries(
      // What is computed from or drawn over a picture.
      Map.entry("canny", "thin white edges on black"),
      Map.entry("depth", "a depth map that is bright where things are near"),
      Map.entry("hed", "soft outlines on black"),
      Map.entry("normal", "a map of surface directions in false colours"),
      Map.entry("mlsd", "the straight lines of the scene on black"),
      Map.entry("openpose", "a coloured stick figure of the pose"),
      Map.entry("mask", "a mask that marks the object"),
      Map.entry("sam2_mask", "every object as a patch of its own colour"),
      Map.entry("uniformer", "the kinds of surface as flat colours"),
      Map.entry("qwen_2_5_mask", "a picture in which the named object is covered"),
      Map.entry("bounding_box", "a picture with a frame around the object"),
      Map.entry("qwen_2_5_bounding_box", "a picture with a frame around the named object"),
      // Parts of a picture, and what goes with it.
      Map.entry("foreground", "the object alone on a plain ground"),
      Map.entry("background", "the scene without the object"),
      Map.entry("ref", "a reference picture of the subject"),
      Map.entry("reference", "a reference picture of the subject"),
      Map.entry("style", "a picture that sets the style"),
      Map.entry("target", "a clear photograph"),
      Map.entry("instantstyle_ref", "a picture that sets the style"),
      Map.entry("instantstyle_image", "the same scene painted in that style"),
      Map.entry("reduxstyle_ref", "a picture that sets the style and the mood"),
      Map.entry("reduxstyle_image", "the same scene in that style and mood"),
      Map.entry("filledit_image", "a picture in which one part is another"),
      Map.entry("depthedit", "another picture with the same depths"),
      // Damage.
      Map.entry("gaussian_noise", "a picture full of noise"),
      Map.entry("salt_and_pepper", "a picture strewn with black and white dots"),
      Map.entry("blur", "a picture out of focus"),
      Map.entry("low_resolution", "a picture enlarged from few pixels"),
      Map.entry("jpeg_artifacts", "a picture spoiled by strong compression"),
      Map.entry("grayscale", "a picture without colour"),
      Map.entry("low_light", "a picture taken in the dark"),
      Map.entry("overexposure", "a picture with far too much light"),
      Map.entry("low_contrast", "a picture that is flat and dull"),
      Map.entry("pixelation", "a picture made of coarse squares"),
      Map.entry("posterization", "a picture of very few tones"),
      Map.entry("inpainting_mask", "a picture with gray holes in it"));

  private RoleDescriptions() {}

  /** For a role that is known, whatever its letter case and with or without a number at its end; else made of its name. */
  public static String of(String role) {
    String known = role.toLowerCase(Locale.ROOT).replace('-', '_').replaceFirst("(?<=[a-z])_\\d+$", "");
    return WORDS.getOrDefault(known, "a picture of the kind \"" + role.replace('_', ' ') + "\"");
  }

  /** Whether the role has words of its own. */
  static boolean isKnown(String role) {
    return WORDS.containsKey(role);
  }
}
