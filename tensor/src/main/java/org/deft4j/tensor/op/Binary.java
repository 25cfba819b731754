package org.deft4j.tensor.op;

/** Element by element over two inputs of one type whose shapes broadcast. */
public sealed interface Binary extends Op {
  /** {@code a + b}. */
  record Add() implements Binary {}

  /** {@code a - b}. */
  record Sub() implements Binary {}

  /** {@code a * b}. */
  record Mul() implements Binary {}

  /** {@code a / b}. */
  record Div() implements Binary {}

  /** The larger; NaN if either is. */
  record Maximum() implements Binary {}

  /** The smaller; NaN if either is. */
  record Minimum() implements Binary {}

  /** {@code a^b}. */
  record Pow() implements Binary {}

  /** {@code a == b}, as BOOL. */
  record Equal() implements Binary {}

  /** {@code a < b}, as BOOL. */
  record Less() implements Binary {}

  /** {@code a <= b}, as BOOL. */
  record LessEqual() implements Binary {}
}
