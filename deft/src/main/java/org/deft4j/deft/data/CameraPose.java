package org.deft4j.deft.data;

/**
 * The rigid motion from world to camera coordinates, {@code X_camera = R X_world + t}; the camera looks along its z axis.
 *
 * @param x of the quaternion {@code w + x i + y j + z k} of R, brought to length 1
 * @param tx of t, in the model's units
 */
public record CameraPose(double x, double y, double z, double w, double tx, double ty, double tz) {
  /** Refuses a quaternion of length 0 and values that are not finite. */
  public CameraPose {
    double length = Math.sqrt(x * x + y * y + z * z + w * w);
    if (!(length > 0 && Double.isFinite(length) && Double.isFinite(tx + ty + tz))) {
      throw new IllegalArgumentException("the quaternion (w " + w + ", x " + x + ", y " + y + ", z " + z + ") with translation ("
          + tx + ", " + ty + ", " + tz + ") is no motion");
    }
    x /= length;
    y /= length;
    z /= length;
    w /= length;
  }

  /** R, row by row. */
  public double[][] rotation() {
    return new double[][] {
        {1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)},
        {2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)},
        {2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)}};
  }

  /** Where the camera is in the world, {@code -R^T t}. */
  public double[] center() {
    double[][] r = rotation();
    double[] center = new double[3];
    for (int i = 0; i < 3; i++) {
      center[i] = 0 - (r[0][i] * tx + r[1][i] * ty + r[2][i] * tz);
    }
    return center;
  }

  /** Where it looks in the world, {@code R^T e_z}, of length 1. */
  public double[] direction() {
    return rotation()[2];
  }
}
