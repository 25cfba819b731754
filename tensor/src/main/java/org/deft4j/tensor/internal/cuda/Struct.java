package org.deft4j.tensor.internal.cuda;

import java.nio.ByteBuffer;

/** An argument that a kernel takes as a struct, by value. */
interface Struct {
  /** Its size, a multiple of 8. */
  int bytes();

  /** Writes it. */
  void put(ByteBuffer bytes);
}
