package org.deft4j.tensor.internal.cuda;

import java.util.List;
import java.util.Locale;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Unary;

/** Numbers for what kernels choose by a number: functions of one and of two elements, and types. Their names in CUDA C are made from here. */
final class CudaFunctions {
  private static final List<Unary> UNARY = List.of(new Unary.Neg(), new Unary.Abs(), new Unary.Exp(), new Unary.Log(), new Unary.Sqrt(),
      new Unary.Rsqrt(), new Unary.Reciprocal(), new Unary.Square(), new Unary.Sin(), new Unary.Cos(), new Unary.Tanh(), new Unary.Erf(),
      new Unary.Sigmoid(), new Unary.Silu(), new Unary.Gelu(), new Unary.GeluTanh(), new Unary.QuickGelu(), new Unary.Relu(),
      new Unary.LeakyRelu(0), new Unary.Softplus(), new Unary.Sign(), new Unary.Affine(0, 0), new Unary.Clamp(0, 0), new Unary.Power(0));
  private static final List<Binary> BINARY = List.of(new Binary.Add(), new Binary.Sub(), new Binary.Mul(), new Binary.Div(),
      new Binary.Maximum(), new Binary.Minimum(), new Binary.Pow(), new Binary.Equal(), new Binary.Less(), new Binary.LessEqual());
  private static final List<DType> TYPES = List.of(DType.values());

  private CudaFunctions() {}

  static int code(Unary op) {
    return code(UNARY, op);
  }

  static int code(Binary op) {
    return code(BINARY, op);
  }

  static int code(DType dtype) {
    return TYPES.indexOf(dtype);
  }

  private static <T> int code(List<T> functions, T op) {
    for (int i = 0; i < functions.size(); i++) {
      if (functions.get(i).getClass() == op.getClass()) {
        return i;
      }
    }
    throw new IllegalStateException("the card has no " + op);
  }

  /** The two numbers of a function that has any. */
  static double[] parameters(Unary op) {
    return switch (op) {
      case Unary.LeakyRelu(var slope) -> new double[] {slope, 0};
      case Unary.Affine(var scale, var shift) -> new double[] {scale, shift};
      case Unary.Clamp(var low, var high) -> new double[] {low, high};
      case Unary.Power(var exponent) -> new double[] {exponent, 0};
      default -> new double[2];
    };
  }

  /** {@code enum Unary { UNARY_NEG, ... }} and the like. */
  static String declarations() {
    StringBuilder text = new StringBuilder("enum Unary {");
    UNARY.forEach(op -> text.append(" UNARY_").append(op.label().toUpperCase(Locale.ROOT)).append(','));
    text.append(" };\nenum Binary {");
    BINARY.forEach(op -> text.append(" BINARY_").append(op.label().toUpperCase(Locale.ROOT)).append(','));
    text.append(" };\nenum Type {");
    TYPES.forEach(dtype -> text.append(" TYPE_").append(dtype.name()).append(','));
    return text.append(" };\n").toString();
  }
}
