/** The models, and how to sample and what to minimise. */
module org.deft4j.diffusion {
  requires transitive org.deft4j.nn;
  requires transitive org.deft4j.weights;
  requires java.desktop;
  requires com.twelvemonkeys.imageio.core;
  requires com.twelvemonkeys.imageio.jpeg;
  requires com.twelvemonkeys.imageio.webp;

  exports org.deft4j.diffusion;
  exports org.deft4j.diffusion.image;
  exports org.deft4j.diffusion.omnigen;
}
