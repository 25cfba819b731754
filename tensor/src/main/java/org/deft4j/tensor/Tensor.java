package org.deft4j.tensor;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.deft4j.tensor.internal.cuda.Cuda;
import org.deft4j.tensor.internal.cuda.Kept;
import org.deft4j.tensor.op.Binary;
import org.deft4j.tensor.op.Contraction;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.Fused;
import org.deft4j.tensor.op.InPlace;
import org.deft4j.tensor.op.Indexing;
import org.deft4j.tensor.op.Layout;
import org.deft4j.tensor.op.Norm;
import org.deft4j.tensor.op.Op;
import org.deft4j.tensor.op.Reduction;
import org.deft4j.tensor.op.Spatial;
import org.deft4j.tensor.op.Unary;
import org.deft4j.tensor.op.View;

/**
 * An n-dimensional array: element type, shape, strides and offset over memory that it may share with its views.
 *
 * <p>Element {@code [i_0, ..., i_r]} is at {@code offset + sum_k i_k * stride_k} elements into {@link #memory}. Every
 * method that computes is one line: it hands a record of the family {@link Op} to {@link Dispatch}, the one door all
 * operations pass. Results are new tensors, owned by the innermost {@link Scope}; only methods whose name says so work in
 * place.
 */
public final class Tensor implements AutoCloseable {
  private static final AtomicLong IDS = new AtomicLong();

  private final long id;
  private final Storage storage;
  private final DType dtype;
  private final Shape shape;
  private final long[] strides;
  private final long offset;
  private final boolean contiguous;
  private String name;
  private Scope scope;
  private volatile boolean closed;

  private Tensor(long id, Storage storage, DType dtype, Shape shape, long[] strides, long offset) {
    this.id = id;
    this.storage = storage;
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    this.contiguous = isContiguous(shape, strides);
    storage.hold();
  }

  private static boolean isContiguous(Shape shape, long[] strides) {
    long expected = 1;
    for (int i = shape.rank() - 1; i >= 0; i--) {
      if (shape.size(i) != 1 && strides[i] != expected) {
        return shape.elementCount() == 0;
      }
      expected *= shape.size(i);
    }
    return true;
  }

  // ---------------------------------------------------------------------------------------------------- making

  /** A tensor on {@link Device#current} whose elements are whatever the memory held. */
  public static Tensor empty(DType dtype, Shape shape) {
    return empty(Device.current(), dtype, shape);
  }

  /** A tensor whose elements are whatever the memory held. */
  public static Tensor empty(Device device, DType dtype, Shape shape) {
    return allocate(device, dtype, shape, "empty");
  }

  static Tensor allocate(Device device, DType dtype, Shape shape, String what) {
    long bytes;
    try {
      bytes = Math.multiplyExact(shape.elementCount(), (long) dtype.bytes());
    } catch (ArithmeticException e) {
      throw new ShapeException(what + ": " + dtype + " of shape " + shape + " has more than 2^63 - 1 bytes", e);
    }
    Storage storage = Offload.takes(device, shape) ? Storage.keep(bytes, () -> what + " " + dtype + shape)
        : Storage.allocate(device, bytes, () -> what + " " + dtype + shape);
    return new Tensor(IDS.incrementAndGet(), storage, dtype, shape, shape.contiguousStrides(), 0).own();
  }

  /** A tensor of {@code value}s. */
  public static Tensor full(DType dtype, double value, long... shape) {
    Tensor tensor = empty(Device.current(), dtype, Shape.of(shape));
    Dispatch.run(new InPlace.Fill(value), tensor);
    return tensor;
  }

  /** A tensor of zeros. */
  public static Tensor zeros(DType dtype, long... shape) {
    return full(dtype, 0, shape);
  }

  /** A tensor of zeros with this one's device, type and shape. */
  public Tensor zerosLike() {
    Tensor tensor = empty(device(), dtype, shape);
    Dispatch.run(new InPlace.Fill(0), tensor);
    return tensor;
  }

  /** An F32 tensor of these elements in row-major order; without sizes a vector. */
  public static Tensor of(float[] values, long... sizes) {
    return Elements.of(values, values.length, DType.F32, sizes);
  }

  /** An F64 tensor of these elements in row-major order; without sizes a vector. */
  public static Tensor of(double[] values, long... sizes) {
    return Elements.of(values, values.length, DType.F64, sizes);
  }

  /** An I64 tensor of these elements in row-major order; without sizes a vector. */
  public static Tensor of(long[] values, long... sizes) {
    return Elements.of(values, values.length, DType.I64, sizes);
  }

  /** An I32 tensor of these elements in row-major order; without sizes a vector. */
  public static Tensor of(int[] values, long... sizes) {
    return Elements.of(values, values.length, DType.I32, sizes);
  }

  /** A tensor of rank 0. */
  public static Tensor scalar(DType dtype, double value) {
    return full(dtype, value);
  }

  // ------------------------------------------------------------------------------------------------- what it is

  /** The same for all handles on the same value (see {@link #share}), different for any other tensor. */
  public long id() {
    return id;
  }

  /** The element type. */
  public DType dtype() {
    return dtype;
  }

  /** The sizes. */
  public Shape shape() {
    return shape;
  }

  /** The number of dimensions. */
  public int rank() {
    return shape.rank();
  }

  /** The size of one dimension; negative counts from the last. */
  public long size(int dim) {
    return shape.size(dim);
  }

  /** The number of elements. */
  public long elementCount() {
    return shape.elementCount();
  }

  /** Where the data is. */
  public Device device() {
    return storage.device();
  }

  /** Elements to step over per dimension, as a copy. */
  public long[] strides() {
    return strides.clone();
  }

  /** Elements before the first. */
  public long offset() {
    return offset;
  }

  /** Whether the elements lie in row-major order without gaps. */
  public boolean isContiguous() {
    return contiguous;
  }

  /** The memory this tensor and its views share, which must be the CPU's; the pool's rounding makes it longer than the elements. */
  public MemorySegment memory() {
    requireOpen("memory");
    return storage.segment();
  }

  /** Exactly the bytes of a contiguous tensor on the CPU. */
  public MemorySegment bytes() {
    requireContiguous("bytes");
    // Where there are no elements, their offset may lie beyond the memory.
    long start = elementCount() == 0 ? 0 : offset * dtype.bytes();
    return storage.segment().asSlice(start, elementCount() * dtype.bytes());
  }

  private void requireContiguous(String what) {
    requireOpen(what);
    if (!contiguous) {
      throw new ShapeException(what + ": " + this + " is not contiguous; call contiguous() first");
    }
  }

  /**
   * Sets the bytes of a contiguous tensor, whatever device they are on: {@code writer} writes them all, in memory of this process. It is
   * not called on the meta device, which has none.
   */
  public void write(Consumer<MemorySegment> writer) {
    requireContiguous("write");
    switch (device()) {
      case CPU -> writer.accept(bytes());
      case CUDA -> {
        if (kept() != null) {
          Offload.forget(kept(), false);
          writer.accept(kept().memory().asSlice(offset * dtype.bytes(), elementCount() * dtype.bytes()));
          break;
        }
        try (Tensor here = allocate(Device.CPU, dtype, shape, "write")) {
          writer.accept(here.bytes());
          Cuda.card().upload(here.bytes(), address());
        }
      }
      case META -> {}
    }
    changed();
  }

  /** Where the first element is in the memory of its device: for kernels. */
  public long address() {
    requireOpen("address");
    return storage.address() + offset * dtype.bytes();
  }

  /**
   * This tensor if it is on that device, else a row-major copy there; on the meta device, as in a rehearsal, this. A copy to the CPU waits
   * for what runs on the card.
   */
  public Tensor to(Device device) {
    return device == device() || device() == Device.META ? this : run(new Layout.Transfer(device));
  }

  /** Names the tensor for error messages; returns it. */
  public Tensor named(String newName) {
    this.name = newName;
    return this;
  }

  /** The only element, as a double. */
  public double item() {
    if (elementCount() != 1) {
      throw new ShapeException("item: one element is needed, " + this + " has " + elementCount());
    }
    return toDoubles()[0];
  }

  /** The elements in row-major order, converted to float. */
  public float[] toFloats() {
    return Elements.toFloats(this);
  }

  /** The elements in row-major order, converted to double. */
  public double[] toDoubles() {
    return Elements.toDoubles(this);
  }

  /** The elements in row-major order, converted to long. */
  public long[] toLongs() {
    return Elements.toLongs(this);
  }

  // -------------------------------------------------------------------------------------------------- lifetime

  /** Another handle on the same value, owned by no scope: its holder closes it. */
  public Tensor share() {
    requireOpen("share");
    return new Tensor(id, storage, dtype, shape, strides, offset).named(name);
  }

  /** A tensor of its own on the same memory, which no listener knows to come from this one: a tape takes it for a constant. */
  public Tensor detach() {
    requireOpen("detach");
    return view(shape, strides, offset);
  }

  /** Whether another open tensor, a view or a handle, uses the same memory. */
  public boolean isShared() {
    return storage.isShared();
  }

  boolean sharesMemoryWith(Tensor other) {
    return storage == other.storage;
  }

  /** How many operations have worked in place on this memory: whoever keeps a handle can tell whether it still holds what it did. */
  public long version() {
    return storage.version();
  }

  void changed() {
    storage.changed();
  }

  /** What of its memory an {@link Offload} keeps; null of all other memory. */
  Kept kept() {
    return storage.kept();
  }

  Tensor view(Shape newShape, long[] newStrides, long newOffset) {
    return new Tensor(IDS.incrementAndGet(), storage, dtype, newShape, newStrides, newOffset).own();
  }

  private Tensor own() {
    Scope current = Scope.current();
    if (current != null) {
      current.own(this);
      scope = current;
    }
    return this;
  }

  Scope scope() {
    return scope;
  }

  void adoptedBy(Scope next) {
    scope = next;
    if (next != null) {
      next.own(this);
    }
  }

  /** Whether the tensor may still be used. */
  public boolean isOpen() {
    return !closed;
  }

  void requireOpen(String what) {
    if (closed) {
      throw new ClosedException(what + ": " + this + " was closed, or the scope that owned it");
    }
  }

  /** Lets go of the memory; a second call does nothing. */
  @Override
  public void close() {
    synchronized (this) {
      if (closed) {
        return;
      }
      closed = true;
    }
    storage.letGo();
  }

  // ----------------------------------------------------------------------------------------------- elementwise

  private Tensor run(Op op, Tensor... others) {
    Tensor[] inputs = new Tensor[others.length + 1];
    inputs[0] = this;
    System.arraycopy(others, 0, inputs, 1, others.length);
    return Dispatch.run(op, inputs)[0];
  }

  /** {@code -x}. */
  public Tensor neg() {
    return run(new Unary.Neg());
  }

  /** {@code |x|}. */
  public Tensor abs() {
    return run(new Unary.Abs());
  }

  /** {@code e^x}. */
  public Tensor exp() {
    return run(new Unary.Exp());
  }

  /** The natural logarithm. */
  public Tensor log() {
    return run(new Unary.Log());
  }

  /** The square root. */
  public Tensor sqrt() {
    return run(new Unary.Sqrt());
  }

  /** {@code 1 / sqrt(x)}. */
  public Tensor rsqrt() {
    return run(new Unary.Rsqrt());
  }

  /** {@code 1 / x}. */
  public Tensor reciprocal() {
    return run(new Unary.Reciprocal());
  }

  /** {@code x^2}. */
  public Tensor square() {
    return run(new Unary.Square());
  }

  /** {@code sin x}. */
  public Tensor sin() {
    return run(new Unary.Sin());
  }

  /** {@code cos x}. */
  public Tensor cos() {
    return run(new Unary.Cos());
  }

  /** The hyperbolic tangent. */
  public Tensor tanh() {
    return run(new Unary.Tanh());
  }

  /** The error function. */
  public Tensor erf() {
    return run(new Unary.Erf());
  }

  /** {@code 1 / (1 + e^-x)}. */
  public Tensor sigmoid() {
    return run(new Unary.Sigmoid());
  }

  /** {@code x * sigmoid(x)}. */
  public Tensor silu() {
    return run(new Unary.Silu());
  }

  /** The exact (erf) GELU. */
  public Tensor gelu() {
    return run(new Unary.Gelu());
  }

  /** The tanh form of GELU. */
  public Tensor geluTanh() {
    return run(new Unary.GeluTanh());
  }

  /** {@code x * sigmoid(1.702 x)}. */
  public Tensor quickGelu() {
    return run(new Unary.QuickGelu());
  }

  /** {@code max(x, 0)}. */
  public Tensor relu() {
    return run(new Unary.Relu());
  }

  /** {@code x} where positive, else {@code slope * x}. */
  public Tensor leakyRelu(double slope) {
    return run(new Unary.LeakyRelu(slope));
  }

  /** {@code log(1 + e^x)}. */
  public Tensor softplus() {
    return run(new Unary.Softplus());
  }

  /** -1, 0 or 1. */
  public Tensor sign() {
    return run(new Unary.Sign());
  }

  /** {@code scale * x + shift}. */
  public Tensor affine(double scale, double shift) {
    return run(new Unary.Affine(scale, shift));
  }

  /** {@code x + shift}. */
  public Tensor add(double shift) {
    return affine(1, shift);
  }

  /** {@code scale * x}. */
  public Tensor mul(double scale) {
    return affine(scale, 0);
  }

  /** Limited to {@code low .. high}. */
  public Tensor clamp(double low, double high) {
    return run(new Unary.Clamp(low, high));
  }

  /** {@code x^exponent}. */
  public Tensor pow(double exponent) {
    return run(new Unary.Power(exponent));
  }

  /** {@code a + b}, broadcast. */
  public Tensor add(Tensor other) {
    return run(new Binary.Add(), other);
  }

  /** {@code a - b}, broadcast. */
  public Tensor sub(Tensor other) {
    return run(new Binary.Sub(), other);
  }

  /** {@code a * b}, broadcast. */
  public Tensor mul(Tensor other) {
    return run(new Binary.Mul(), other);
  }

  /** {@code a / b}, broadcast. */
  public Tensor div(Tensor other) {
    return run(new Binary.Div(), other);
  }

  /** The larger, broadcast. */
  public Tensor maximum(Tensor other) {
    return run(new Binary.Maximum(), other);
  }

  /** The smaller, broadcast. */
  public Tensor minimum(Tensor other) {
    return run(new Binary.Minimum(), other);
  }

  /** {@code a^b}, broadcast. */
  public Tensor pow(Tensor other) {
    return run(new Binary.Pow(), other);
  }

  /** {@code a == b} as BOOL, broadcast. */
  public Tensor equal(Tensor other) {
    return run(new Binary.Equal(), other);
  }

  /** {@code a < b} as BOOL, broadcast. */
  public Tensor less(Tensor other) {
    return run(new Binary.Less(), other);
  }

  /** {@code a <= b} as BOOL, broadcast. */
  public Tensor lessEqual(Tensor other) {
    return run(new Binary.LessEqual(), other);
  }

  /** {@code a} where this BOOL tensor is true, else {@code b}; broadcast. */
  public Tensor where(Tensor a, Tensor b) {
    return run(new Indexing.Where(), a, b);
  }

  // ------------------------------------------------------------------------------------------------ reductions

  /** The sum over {@code dims}, which disappear; over everything where none is given. */
  public Tensor sum(int... dims) {
    return run(new Reduction.Sum(shape.axes(dims), false));
  }

  /** The sum over {@code dims}, which stay with size 1. */
  public Tensor sumKeep(int... dims) {
    return run(new Reduction.Sum(shape.axes(dims), true));
  }

  /** The mean over {@code dims}, which disappear. */
  public Tensor mean(int... dims) {
    return sum(dims).mul(1.0 / count(dims));
  }

  /** The mean over {@code dims}, which stay with size 1. */
  public Tensor meanKeep(int... dims) {
    return sumKeep(dims).mul(1.0 / count(dims));
  }

  private long count(int... dims) {
    return shape.axes(dims).stream().mapToLong(shape::size).reduce(1, (a, b) -> a * b);
  }

  /** {@code sum (x - mean)^2 / (n - correction)} over {@code dims}, which disappear. */
  public Tensor var(int correction, int... dims) {
    return sub(meanKeep(dims)).square().sum(dims).mul(1.0 / (count(dims) - correction));
  }

  /** {@code sqrt(sum x^2)} over {@code dims}, which disappear. */
  public Tensor norm(int... dims) {
    return square().sum(dims).sqrt();
  }

  /** The largest over {@code dims}. */
  public Tensor max(boolean keep, int... dims) {
    return run(new Reduction.Max(shape.axes(dims), keep));
  }

  /** The smallest over {@code dims}. */
  public Tensor min(boolean keep, int... dims) {
    return run(new Reduction.Min(shape.axes(dims), keep));
  }

  /** The product along {@code dim}, which disappears. */
  public Tensor prod(int dim) {
    return run(new Reduction.Prod(shape.axis(dim), false));
  }

  /** The index (I64) of the largest along {@code dim}, which disappears. */
  public Tensor argmax(int dim) {
    return run(new Reduction.ArgMax(shape.axis(dim), false));
  }

  /** The index (I64) of the smallest along {@code dim}, which disappears. */
  public Tensor argmin(int dim) {
    return run(new Reduction.ArgMin(shape.axis(dim), false));
  }

  /** Running sums along {@code dim}. */
  public Tensor cumsum(int dim) {
    return run(new Reduction.CumSum(shape.axis(dim)));
  }

  /** Softmax along {@code dim}. */
  public Tensor softmax(int dim) {
    return run(new Reduction.Softmax(shape.axis(dim)));
  }

  /** The logarithm of {@link #softmax}. */
  public Tensor logSoftmax(int dim) {
    return run(new Reduction.LogSoftmax(shape.axis(dim)));
  }

  /** {@code log sum e^x} along {@code dim}, which disappears. */
  public Tensor logSumExp(int dim) {
    return run(new Reduction.LogSumExp(shape.axis(dim), false));
  }

  // ------------------------------------------------------------------------------------------- views and copies

  /** The same elements in another shape; one size may be -1 and is worked out. Copies only if the strides demand it. */
  public Tensor reshape(long... sizes) {
    requireOpen("reshape");
    Shape target = ViewShapes.resolve(shape, sizes);
    Tensor viewable = ViewShapes.reshaped(this, target) == null ? contiguous() : this;
    return viewable.run(new View.Reshape(target));
  }

  /** This tensor with dimensions {@code from} to {@code to} (inclusive) made one. */
  public Tensor flatten(int from, int to) {
    int first = shape.axis(from);
    int last = shape.axis(to);
    long[] sizes = new long[rank() - (last - first)];
    for (int i = 0; i < sizes.length; i++) {
      sizes[i] = i == first ? shape.sub(first, last + 1).elementCount() : shape.size(i < first ? i : i + last - first);
    }
    return reshape(sizes);
  }

  /** Without dimension {@code dim}, whose size is 1. */
  public Tensor squeeze(int dim) {
    int axis = shape.axis(dim);
    if (shape.size(axis) != 1) {
      throw new ShapeException("squeeze: dimension " + dim + " of " + this + " must have size 1");
    }
    return reshape(shape.sub(0, axis).append(shape.sub(axis + 1, rank()).toArray()).toArray());
  }

  /** With a new dimension of size 1 at {@code dim}. */
  public Tensor unsqueeze(int dim) {
    int axis = dim < 0 ? dim + rank() + 1 : dim;
    if (axis < 0 || axis > rank()) {
      throw new ShapeException("unsqueeze: dimension " + dim + " does not exist after adding one to " + this);
    }
    return reshape(shape.sub(0, axis).append(1).append(shape.sub(axis, rank()).toArray()).toArray());
  }

  /** Dimension i of the result is dimension {@code dims[i]} of this; a view. */
  public Tensor permute(int... dims) {
    return run(new View.Permute(Arrays.stream(dims).map(shape::axis).boxed().toList()));
  }

  /** Two dimensions swapped; a view. */
  public Tensor transpose(int a, int b) {
    int[] dims = IntStream.range(0, rank()).toArray();
    dims[shape.axis(a)] = shape.axis(b);
    dims[shape.axis(b)] = shape.axis(a);
    return permute(dims);
  }

  /** The last two dimensions swapped; a view. */
  public Tensor t() {
    return transpose(-2, -1);
  }

  /** Elements {@code start} to {@code end} (exclusive) of a dimension; a view. */
  public Tensor slice(int dim, long start, long end) {
    return slice(dim, start, end, 1);
  }

  /** Elements {@code start, start + step, ...} below {@code end} of a dimension; a view. */
  public Tensor slice(int dim, long start, long end, long step) {
    return run(new View.Slice(shape.axis(dim), start, end, step));
  }

  /** Element {@code index} of dimension {@code dim}, which disappears. */
  public Tensor select(int dim, long index) {
    return slice(dim, index, index + 1).squeeze(dim);
  }

  /** Pieces of these sizes along {@code dim}; views. */
  public List<Tensor> split(int dim, long... sizes) {
    long total = Arrays.stream(sizes).sum();
    if (total != size(dim)) {
      throw new ShapeException("split: sizes " + Arrays.toString(sizes) + " add up to " + total + ", dimension " + dim
          + " of " + this + " has " + size(dim));
    }
    List<Tensor> parts = new ArrayList<>();
    long start = 0;
    for (long size : sizes) {
      parts.add(slice(dim, start, start + size));
      start += size;
    }
    return parts;
  }

  /** At most {@code count} pieces of equal size along {@code dim}, the last perhaps smaller; views. */
  public List<Tensor> chunk(int dim, int count) {
    if (count < 1) {
      throw new ShapeException("chunk: at least 1 piece is needed, asked for " + count);
    }
    long size = (size(dim) + count - 1) / count;
    List<Tensor> parts = new ArrayList<>();
    for (long start = 0; start < size(dim); start += size) {
      parts.add(slice(dim, start, Math.min(size(dim), start + size)));
    }
    return parts;
  }

  /** Broadcast to {@code sizes}; a view. */
  public Tensor expand(long... sizes) {
    return run(new View.Expand(Shape.of(sizes)));
  }

  /** This tensor if it is contiguous, else a row-major copy. */
  public Tensor contiguous() {
    return contiguous ? this : run(new Layout.Contiguous());
  }

  /** A row-major copy. */
  public Tensor copy() {
    return run(new Layout.Contiguous());
  }

  /** This tensor if it has that type, else a converted copy. */
  public Tensor cast(DType type) {
    return type == dtype ? this : run(new Layout.Cast(type));
  }

  /** One after the other along {@code dim}. */
  public static Tensor concat(int dim, Tensor... parts) {
    return concat(dim, List.of(parts));
  }

  /** One after the other along {@code dim}. */
  public static Tensor concat(int dim, List<Tensor> parts) {
    if (parts.isEmpty()) {
      throw new ShapeException("concat: at least one tensor is needed");
    }
    return Dispatch.run(new Layout.Concat(parts.getFirst().shape.axis(dim)), parts.toArray(Tensor[]::new))[0];
  }

  /** Along a new dimension {@code dim}. */
  public static Tensor stack(int dim, Tensor... parts) {
    return concat(dim, Arrays.stream(parts).map(part -> part.unsqueeze(dim)).toList());
  }

  /** Surrounded by {@code value}: {@code before, after} of the last dimension, then of the one before it, ... */
  public Tensor pad(double value, long... lastDimFirst) {
    if (lastDimFirst.length % 2 != 0 || lastDimFirst.length / 2 > rank()) {
      throw new ShapeException("pad: " + Arrays.toString(lastDimFirst) + " must be pairs, at most " + rank() + " of them");
    }
    Long[] before = new Long[rank()];
    Long[] after = new Long[rank()];
    for (int i = 0; i < rank(); i++) {
      int pair = 2 * (rank() - 1 - i);
      before[i] = pair < lastDimFirst.length ? lastDimFirst[pair] : 0;
      after[i] = pair < lastDimFirst.length ? lastDimFirst[pair + 1] : 0;
    }
    return run(new Layout.Pad(List.of(before), List.of(after), value));
  }

  /** Reversed along {@code dims}. */
  public Tensor flip(int... dims) {
    return run(new Layout.Flip(shape.axes(dims)));
  }

  /** Shifted along {@code dim} by {@code shift}; what leaves at the end comes back at the start. */
  public Tensor roll(int dim, long shift) {
    long cut = size(dim) == 0 ? 0 : Math.floorMod(-shift, size(dim));
    return concat(dim, slice(dim, cut, size(dim)), slice(dim, 0, cut));
  }

  /** Each element {@code times} times in a row along {@code dim}. */
  public Tensor repeatInterleave(int dim, long times) {
    int axis = shape.axis(dim);
    return unsqueeze(axis + 1).expand(shape.sub(0, axis + 1).append(times)
        .append(shape.sub(axis + 1, rank()).toArray()).toArray()).flatten(axis, axis + 1);
  }

  /** The last two dimensions on and above the diagonal. */
  public Tensor triu(long diagonal) {
    return run(new Layout.Triangle(true, diagonal));
  }

  /** The last two dimensions on and below the diagonal. */
  public Tensor tril(long diagonal) {
    return run(new Layout.Triangle(false, diagonal));
  }

  // --------------------------------------------------------------------------------------------------- indexing

  /** The slices of {@code dim} that {@code index} (one dimension) names. */
  public Tensor indexSelect(int dim, Tensor index) {
    return run(new Indexing.IndexSelect(shape.axis(dim)), index);
  }

  /** This table's rows: {@code ids [...] -> [..., width]}. */
  public Tensor embedding(Tensor ids) {
    if (rank() != 2) {
      throw new ShapeException("embedding: table: expected [rows, width], found " + this);
    }
    return indexSelect(0, ids.reshape(-1)).reshape(ids.shape.append(size(1)).toArray());
  }

  /** {@code y[..., i, ...] = x[..., index[..., i, ...], ...]}. */
  public Tensor gather(int dim, Tensor index) {
    return run(new Indexing.Gather(shape.axis(dim)), index);
  }

  /** A copy with {@code source} added at {@code index} along {@code dim}. */
  public Tensor scatterAdd(int dim, Tensor index, Tensor source) {
    return run(new Indexing.ScatterAdd(shape.axis(dim)), index, source);
  }

  /** Sorted along {@code dim}: values and the index (I64) of each. */
  public Tensor[] sort(int dim, boolean descending) {
    return Dispatch.run(new Indexing.Sort(shape.axis(dim), descending), this);
  }

  /** The {@code k} largest along {@code dim}, largest first: values and indices. */
  public Tensor[] topk(int dim, long k) {
    Tensor[] sorted = sort(dim, true);
    return new Tensor[] {sorted[0].slice(dim, 0, k), sorted[1].slice(dim, 0, k)};
  }

  // --------------------------------------------------------------------------------------------------- products

  /** {@code [..., M, K] x [..., K, N] -> [..., M, N]}. */
  public Tensor matmul(Tensor other) {
    return run(new Contraction.MatMul(), other);
  }

  /** {@code x w^T}; w [out, in]. */
  public Tensor linear(Tensor weight) {
    return run(new Contraction.Linear(), weight);
  }

  /** {@code x w^T + b}; w [out, in], b [out]. */
  public Tensor linear(Tensor weight, Tensor bias) {
    return run(new Contraction.Linear(), weight, bias);
  }

  /** Convolution without bias. */
  public Tensor conv2d(ConvSpec spec, Tensor weight) {
    return run(new Contraction.Conv2d(spec), weight);
  }

  /** Convolution with bias. */
  public Tensor conv2d(ConvSpec spec, Tensor weight, Tensor bias) {
    return run(new Contraction.Conv2d(spec), weight, bias);
  }

  /** Attention of this query to {@code key} and {@code value}. */
  public Tensor attention(Tensor key, Tensor value, double scale, boolean causal) {
    return run(new Contraction.Attention(scale, causal), key, value);
  }

  /** Attention with a mask (BOOL: may look; otherwise added to the scores). */
  public Tensor attention(Tensor key, Tensor value, Tensor mask, double scale) {
    return run(new Contraction.Attention(scale, false), key, value, mask);
  }

  // ------------------------------------------------------------------------------------------ norms and pictures

  /** Group normalisation with an affine map per channel. */
  public Tensor groupNorm(int groups, double eps, Tensor weight, Tensor bias) {
    return run(new Norm.GroupNorm(groups, eps), weight, bias);
  }

  /** {@code silu(groupNorm(...))} in one pass, to the bit. */
  public Tensor groupNormSilu(int groups, double eps, Tensor weight, Tensor bias) {
    return run(new Norm.GroupNormSilu(groups, eps), weight, bias);
  }

  /** Layer normalisation over the last {@code dims} dimensions; {@code affine}: nothing, or weight and bias. */
  public Tensor layerNorm(int dims, double eps, Tensor... affine) {
    return run(new Norm.LayerNorm(dims, eps), affine);
  }

  /** {@code s = this + residual} and its layer norm over the last dimension in one pass: {@code [norm, s]}, to the bit. */
  public Tensor[] addThenLayerNorm(Tensor residual, double eps, Tensor weight, Tensor bias) {
    return Arrays.copyOf(Dispatch.run(new Norm.LayerNormOfSum(eps), this, residual, weight, bias), 2);
  }

  /** Root-mean-square normalisation over the last dimension; {@code weight}: nothing, or one. */
  public Tensor rmsNorm(double eps, Tensor... weight) {
    return run(new Norm.RmsNorm(eps), weight);
  }

  /** The first half times the GELU of the second, of the last dimension. */
  public Tensor geglu() {
    return run(Fused.Gated.GEGLU);
  }

  /** The SiLU of the first half times the second, of the last dimension. */
  public Tensor swiglu() {
    return run(Fused.Gated.SWIGLU);
  }

  /**
   * Rotary position embedding of the last dimension in halves, {@code [a cos - b sin, b cos + a sin]}; cos and sin {@code [..., S, d/2]} broadcast
   * to this {@code [..., S, d]}, and have no gradient.
   */
  public Tensor rotary(Tensor cos, Tensor sin) {
    return run(new Fused.Rotary(false), cos, sin);
  }

  /** Nearest-neighbour resampling of [N,C,H,W]. */
  public Tensor upsampleNearest(long height, long width) {
    return run(new Spatial.UpsampleNearest(height, width));
  }

  /** Bilinear resampling of [N,C,H,W]. */
  public Tensor upsampleBilinear(long height, long width) {
    return run(new Spatial.UpsampleBilinear(height, width));
  }

  @Override
  public String toString() {
    return (name == null ? "tensor" : "tensor '" + name + "'") + " " + dtype + shape
        + (device() == Device.CPU ? "" : " on " + device());
  }
}
