package org.deft4j.tensor.internal.cuda;

import java.nio.ByteBuffer;
import org.deft4j.tensor.DType;
import org.deft4j.tensor.Device;
import org.deft4j.tensor.Precision;
import org.deft4j.tensor.Shape;
import org.deft4j.tensor.Tensor;
import org.deft4j.tensor.internal.Kernels;
import org.deft4j.tensor.op.Contraction.ConvSpec;
import org.deft4j.tensor.op.InPlace;

/**
 * Convolutions as products of the filters, {@code W [O, C KH KW]}, with patches, {@code P [C KH KW, pixels]}: column p holds what the filter
 * sees at position p of the result. Patches are written for some pixels or pictures at a time, in the type of the factors, into at most
 * {@link #PATCHES} bytes, which the second-level cache of a large card mostly holds; a 1x1 convolution has the picture itself.
 *
 * <pre>
 *   y  = W P                for each picture and group
 *   dP = W^T dy,  dx = the sum of what each pixel is in dP
 *   dW = dy P^T             summed over pictures
 * </pre>
 */
final class CudaConvolution {
  private static final String SOURCE = "convolution";
  /** Bytes of patches at a time. */
  private static final long PATCHES = 24L << 20;
  /** Pixels are taken in multiples of so many, unless all are: rows of patches then start where wide reads may. */
  private static final long EVEN = 64;
  /** Neighbouring pixels whose patches a thread writes: {@code RUN} of the source. */
  private static final long RUN = 4;
  /** So many pixels for each channel of the result, and turning the filters costs less than gathering from patches. */
  private static final long TURNED = 2;
  /** Widths of pictures for {@code patches_of_three} are multiples of this. */
  private static final long EIGHT = 8;
  /** Blocks of the kernel that writes patches, if there are channels enough: some for each multiprocessor of a large card. */
  private static final long BLOCKS = 1024;

  private final Launcher launcher;
  private final CudaProducts products;
  private final Kernels kernels;

  /** @param kernels for what is no product */
  CudaConvolution(Launcher launcher, CudaProducts products, Kernels kernels) {
    this.kernels = kernels;
    this.launcher = launcher;
    this.products = products;
  }

  /** The sizes of a convolution, all of one group: c channels, o filters, kernels of kh x kw. */
  private record Sizes(ConvSpec spec, long n, long c, long height, long width, long o, long kh, long kw, long oh, long ow) {
    static Sizes of(ConvSpec s, Shape x, Shape w) {
      return new Sizes(s, x.size(0), w.size(1), x.size(2), x.size(3), w.size(0) / s.groups(), w.size(2), w.size(3),
          s.outHeight(x.size(2), w.size(2)), s.outWidth(x.size(3), w.size(3)));
    }

    long taps() {
      return kh * kw;
    }

    long depth() {
      return c * taps();
    }

    long pixels() {
      return oh * ow;
    }

    long picture() {
      return height * width;
    }

    int groups() {
      return spec.groups();
    }

    /** Whether {@code patches_of_three} is for it. */
    boolean isOfThree() {
      return kw == 3 && spec.strideW() == 1 && spec.dilationW() == 1 && spec.left() == 1 && ow == width && width % EIGHT == 0;
    }

    /** Whether the gradient by the input is a convolution too, with the filters turned. */
    boolean isTurnable() {
      return taps() > 1 && spec.strideH() == 1 && spec.strideW() == 1 && reachH() >= Math.max(spec.top(), spec.bottom())
          && reachW() >= Math.max(spec.left(), spec.right());
    }

    private long reachH() {
      return (kh - 1) * spec.dilationH();
    }

    private long reachW() {
      return (kw - 1) * spec.dilationW();
    }

    /** That convolution. */
    ConvSpec turned() {
      int h = Math.toIntExact(reachH());
      int w = Math.toIntExact(reachW());
      return new ConvSpec(1, 1, h - spec.top(), h - spec.bottom(), w - spec.left(), w - spec.right(), spec.dilationH(), spec.dilationW(),
          spec.groups());
    }

    /** Whether a column of patches is a pixel. */
    boolean isPlain() {
      return taps() == 1 && spec.strideH() == 1 && spec.strideW() == 1 && spec.top() + spec.bottom() + spec.left() + spec.right() == 0;
    }
  }

  /** A matrix for each of some pictures. */
  private record Patches(Gemm.Matrix matrix, long pictures, long firstPixel, long pixels) {}

  /** What is done with some patches of one group, of the pictures from {@code picture} on. */
  @FunctionalInterface
  private interface Use {
    void use(Patches patches, long picture);
  }

  /** {@code struct Geometry} of the source, of which columns {@code firstPixel} to {@code firstPixel + pixels} are meant. */
  private record Geometry(Sizes s, long firstPixel, long pixels) implements Struct {
    @Override
    public int bytes() {
      return 14 * Long.BYTES;
    }

    @Override
    public void put(ByteBuffer bytes) {
      ConvSpec spec = s.spec();
      bytes.putLong(s.height()).putLong(s.width()).putLong(s.kh()).putLong(s.kw()).putLong(s.oh()).putLong(s.ow()).putLong(spec.strideH())
          .putLong(spec.strideW()).putLong(spec.top()).putLong(spec.left()).putLong(spec.dilationH()).putLong(spec.dilationW())
          .putLong(firstPixel).putLong(pixels);
    }
  }

  /** {@code y = W P + b}. */
  void forward(ConvSpec spec, Tensor[] in, Tensor y) {
    Sizes s = Sizes.of(spec, in[0].shape(), in[1].shape());
    if (in.length == 3) {
      products.spread(in[2], s.pixels(), y);
    }
    double beta = in.length == 3 ? 1 : 0;
    try (Factors factors = new Factors(launcher)) {
      for (long g = 0; g < s.groups(); g++) {
        long group = g;
        Gemm.Matrix filters = filters(factors, s, in[1], y.dtype(), group);
        Gemm.Matrix planes = planes(y, s.o(), s.pixels(), s.groups(), group);
        forPatches(s, in[0], y.dtype(), group, (patches, picture) -> multiply(new Gemm(filters, patches.matrix(),
            pixels(planes, picture, patches.firstPixel()), s.o(), patches.pixels(), s.depth(), patches.pictures(), 1, beta,
            Precision.current())));
      }
    }
  }

  /** {@code dw = sum_n dy P^T}. */
  void weightGrad(ConvSpec spec, Tensor dy, Tensor x, Tensor dw) {
    Sizes s = Sizes.of(spec, x.shape(), dw.shape());
    if (s.n() == 0) {
      kernels.run(new InPlace.Fill(0), new Tensor[] {dw}, new Tensor[0]);
      return;
    }
    try (Factors factors = new Factors(launcher)) {
      for (long g = 0; g < s.groups(); g++) {
        Gemm.Matrix upstream = factors.of(planes(dy, s.o(), s.pixels(), s.groups(), g), dw.dtype(), s.o(), s.pixels(), s.n());
        Gemm.Matrix product = new Gemm.Matrix(dw.address() + g * s.o() * s.depth() * dw.dtype().bytes(), dw.dtype(), false, s.depth(), 0);
        forPatches(s, x, dw.dtype(), g, (patches, picture) -> {
          for (long i = 0; i < patches.pictures(); i++) {
            double beta = picture + i == 0 && patches.firstPixel() == 0 ? 0 : 1;
            multiply(new Gemm(pixels(upstream, picture + i, patches.firstPixel()).at(0), patches.matrix().at(i).t(), product, s.o(), s.depth(),
                patches.pixels(), 1, 1, beta, Precision.current()));
          }
        });
      }
    }
  }

  /**
   * {@code dP = W^T dy} for some channels of a picture at a time, from which each pixel of dx gathers what it was in; or the convolution of dy
   * with the filters turned, where they are small beside the pictures.
   */
  void inputGrad(ConvSpec spec, Tensor dy, Tensor w, Tensor dx) {
    Sizes s = Sizes.of(spec, dx.shape(), w.shape());
    if (s.isTurnable() && s.pixels() * s.n() > TURNED * s.o()) {
      turned(s, dy, w, dx);
      return;
    }
    DType type = dx.dtype();
    try (Factors factors = new Factors(launcher)) {
      for (long g = 0; g < s.groups(); g++) {
        Gemm.Matrix filters = filters(factors, s, w, type, g).t();
        Gemm.Matrix upstream = factors.of(planes(dy, s.o(), s.pixels(), s.groups(), g), type, s.o(), s.pixels(), s.n());
        if (s.isPlain()) {
          Gemm.Matrix product = planes(dx, s.c(), s.pixels(), s.groups(), g);
          multiply(new Gemm(filters, upstream, product, s.c(), s.pixels(), s.o(), s.n(), 1, 0, Precision.current()));
        } else {
          gather(s, filters, upstream, planes(dx, s.c(), s.picture(), s.groups(), g));
        }
      }
    }
  }

  private void turned(Sizes s, Tensor dy, Tensor w, Tensor dx) {
    try (Tensor filters = Tensor.empty(Device.CUDA, w.dtype(), Shape.of(s.groups() * s.c(), s.o(), s.kh(), s.kw()))) {
      launcher.each(w.elementCount(), SOURCE, "turned_" + w.dtype().bytes(), w, filters, w.elementCount(), s.o(), s.c(), s.taps());
      forward(s.turned(), new Tensor[] {dy, filters}, dx);
    }
  }

  private void gather(Sizes s, Gemm.Matrix filters, Gemm.Matrix upstream, Gemm.Matrix dx) {
    DType type = dx.dtype().wide();
    long channels = Math.clamp(PATCHES / Math.max(1, s.taps() * s.pixels() * type.bytes()), 1, Math.max(1, s.c()));
    try (Tensor patches = Tensor.empty(Device.CUDA, type, Shape.of(channels * s.taps(), s.pixels()))) {
      Gemm.Matrix product = new Gemm.Matrix(patches.address(), type, false, s.pixels(), 0);
      for (long n = 0; n < s.n(); n++) {
        for (long c = 0; c < s.c(); c += channels) {
          long some = Math.min(channels, s.c() - c);
          multiply(Gemm.of(filters.from(c * s.taps()), upstream.at(n), product, some * s.taps(), s.pixels(), s.o(), Precision.current()));
          launcher.each(some * s.picture(), SOURCE, Launcher.variant("gather", dx.dtype()), patches, dx.at(n).from(c).address(),
              some * s.picture(), new Geometry(s, 0, s.pixels()));
        }
      }
    }
  }

  /** The filters of a group, [O, C KH KW]. */
  private static Gemm.Matrix filters(Factors factors, Sizes s, Tensor w, DType result, long group) {
    long address = w.address() + group * s.o() * s.depth() * w.dtype().bytes();
    return factors.of(new Gemm.Matrix(address, w.dtype(), false, s.depth(), 0), result, s.o(), s.depth(), 1);
  }

  /** The planes of a group in each picture, [channels, pixels]. */
  private static Gemm.Matrix planes(Tensor t, long channels, long pixels, long groups, long group) {
    return new Gemm.Matrix(t.address() + group * channels * pixels * t.dtype().bytes(), t.dtype(), false, pixels, groups * channels * pixels);
  }

  /** Of planes, those from a picture on, from a pixel on. */
  private static Gemm.Matrix pixels(Gemm.Matrix planes, long picture, long pixel) {
    long elements = picture * planes.batchStride() + pixel;
    return new Gemm.Matrix(planes.address() + elements * planes.dtype().bytes(), planes.dtype(), false, planes.lead(), planes.batchStride());
  }

  /** Makes the patches of a group, some at a time. */
  private void forPatches(Sizes s, Tensor x, DType result, long group, Use use) {
    if (s.n() == 0) {
      return;
    }
    Gemm.Matrix pictures = planes(x, s.c(), s.picture(), s.groups(), group);
    try (Factors factors = new Factors(launcher)) {
      if (s.isPlain()) {
        use.use(new Patches(factors.of(pictures, result, s.c(), s.pixels(), s.n()), s.n(), 0, s.pixels()), 0);
        return;
      }
      DType type = factors.type(result);
      long most = Math.max(1, PATCHES / Math.max(1, s.depth() * type.bytes()) / EVEN) * EVEN;
      long some = Math.clamp(most / s.pixels(), 1, s.n());
      long columns = Math.min(s.pixels(), most);
      try (Tensor patches = Tensor.empty(Device.CUDA, type, Shape.of(some, s.depth(), columns))) {
        for (long n = 0; n < s.n(); n += some) {
          for (long pixel = 0; pixel < s.pixels(); pixel += columns) {
            Geometry geometry = new Geometry(s, pixel, Math.min(columns, s.pixels() - pixel));
            long count = Math.min(some, s.n() - n);
            write(pixels(pictures, n, 0), patches, count, geometry);
            Gemm.Matrix matrix = new Gemm.Matrix(patches.address(), type, false, geometry.pixels(), s.depth() * geometry.pixels());
            use.use(new Patches(matrix, count, pixel, geometry.pixels()), n);
          }
        }
      }
    }
  }

  /** The patches of {@code count} pictures. */
  private void write(Gemm.Matrix pictures, Tensor patches, long count, Geometry geometry) {
    Sizes s = geometry.s();
    boolean three = s.isOfThree() && pictures.address() % Walk.WIDE == 0 && hasThree(pictures.dtype(), patches.dtype());
    String kernel = three ? "patches_of_three" : "patches";
    long run = three ? Walk.WIDE / patches.dtype().bytes() : RUN;
    long across = Math.ceilDiv(geometry.pixels(), run * Launcher.THREADS);
    launcher.grid(across, Math.clamp(BLOCKS / (across * count), 1, Math.max(1, s.c())), count, Launcher.THREADS, 0, SOURCE,
        Launcher.variant(Launcher.variant(kernel, pictures.dtype()), patches.dtype()), pictures.address(), patches, s.depth(),
        pictures.batchStride(), geometry);
  }

  private static boolean hasThree(DType from, DType to) {
    return from == DType.F32 || (from == DType.BF16 && to == DType.BF16);
  }

  private void multiply(Gemm gemm) {
    launcher.card().multiply(gemm);
  }
}
