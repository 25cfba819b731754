/** Adapters, their training, their evaluation, the command line. */
module org.deft4j.deft {
  requires transitive org.deft4j.diffusion;
  requires info.picocli;
}
