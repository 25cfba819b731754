/** Adapters, their training, their evaluation, the command line. */
module org.deft4j.deft {
  requires transitive org.deft4j.diffusion;
  requires info.picocli;
  requires org.knowm.xchart;
  requires java.desktop;
  requires java.logging;
  requires java.management;
  requires jdk.unsupported;

  exports org.deft4j.deft;
  exports org.deft4j.deft.data;

  opens org.deft4j.deft.cli to info.picocli;

  uses org.deft4j.deft.Decomposition;
}
