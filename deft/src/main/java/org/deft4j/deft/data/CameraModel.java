package org.deft4j.deft.data;

import java.util.List;

/** The camera models of COLMAP, under its names, with their parameters in the order of its files. */
public enum CameraModel {
  /** No distortion, square pixels. */
  SIMPLE_PINHOLE("f", "cx", "cy"),
  /** No distortion. */
  PINHOLE("fx", "fy", "cx", "cy"),
  /** One radial term. */
  SIMPLE_RADIAL("f", "cx", "cy", "k"),
  /** Two radial terms. */
  RADIAL("f", "cx", "cy", "k1", "k2"),
  /** Two radial and two tangential terms. */
  OPENCV("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2"),
  /** OpenCV's fisheye model. */
  OPENCV_FISHEYE("fx", "fy", "cx", "cy", "k1", "k2", "k3", "k4"),
  /** All of OpenCV's terms. */
  FULL_OPENCV("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6"),
  /** Field of view. */
  FOV("fx", "fy", "cx", "cy", "omega"),
  /** Fisheye with one radial term. */
  SIMPLE_RADIAL_FISHEYE("f", "cx", "cy", "k"),
  /** Fisheye with two radial terms. */
  RADIAL_FISHEYE("f", "cx", "cy", "k1", "k2"),
  /** Fisheye with radial, tangential and thin prism terms. */
  THIN_PRISM_FISHEYE("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3", "k4", "sx1", "sy1"),
  /** The same with more of each. */
  RAD_TAN_THIN_PRISM_FISHEYE("fx", "fy", "cx", "cy", "k0", "k1", "k2", "k3", "k4", "k5", "p0", "p1", "s0", "s1", "s2", "s3");

  @SuppressWarnings("ImmutableEnumChecker") // an unmodifiable list
  private final List<String> parameters;

  CameraModel(String... parameters) {
    this.parameters = List.of(parameters);
  }

  /** The names of its parameters: focal lengths and centre in pixels, then distortion. */
  public List<String> parameters() {
    return parameters;
  }
}
