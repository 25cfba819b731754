// Resampling of planes [H, W], a thread for each element of the result. Adjoints ask which gradients an element had a part in, and
// add them in their order: rows, then columns.

// The row and column of element i of the result, and its plane.
#define ELEMENT(i, width, height)       \
  i64 line = quotient(i, width);        \
  i64 column = i - line * (width);      \
  i64 plane = quotient(line, height);   \
  i64 row = line - plane * (height)

// floor(target in / out), in float32 as PyTorch has it. 32 bits are converted and compared several times as fast as 64.
template <class I> DEVICE I nearest(I target, I in, I out) {
  I source = (I) floor((float) target * ((float) in / (float) out));
  return source < in ? source : in - 1;
}

// The two neighbours of target along one direction, and the second one's share: at (target + 0.5) in / out - 0.5, not below 0.
template <class T> struct Between {
  i64 low;
  i64 high;
  T share;
};

template <class T> DEVICE Between<T> between(i64 target, i64 in, i64 out) {
  T at = product((T) in / (T) out, (T) target + T(0.5)) - T(0.5);
  at = at > 0 ? at : T(0);
  Between<T> result;
  result.low = (i64) at;
  result.high = result.low + 1 < in ? result.low + 1 : in - 1;
  result.share = at - (T) result.low;
  return result;
}

// Which targets look at a source: those from the first that has source or a later one, to before the first that has the next.
struct Nearest {
  DEVICE static i64 source(i64 target, i64 in, i64 out) {
    return nearest(target, in, out);
  }
};

template <class T> struct Lower {
  DEVICE static i64 source(i64 target, i64 in, i64 out) {
    return between<T>(target, in, out).low;
  }
};

// The first target whose source is at least source, or out: a guess, put right by the sources themselves, which ascend.
template <class Rule> DEVICE i64 first_target(i64 source, i64 in, i64 out) {
  if (source <= 0) {
    return 0;
  }
  i64 target = quotient(source * out, in);
  target = target < out ? target : out;
  while (target > 0 && Rule::source(target - 1, in, out) >= source) {
    target--;
  }
  while (target < out && Rule::source(target, in, out) < source) {
    target++;
  }
  return target;
}

// --------------------------------------------------------------------------------------------------------------- windows

struct Window {
  int kernel;
  int stride;
  int padding;
};

// start .. end - 1.
struct Span {
  i64 start;
  i64 end;
};

// The pixels that a window sees along a dimension of size.
DEVICE Span seen(i64 window_number, const Window &window, i64 size) {
  i64 start = window_number * window.stride - window.padding;
  i64 end = start + window.kernel;
  Span result = {start > 0 ? start : 0, end < size ? end : size};
  return result;
}

// The windows that see a pixel, of so many.
DEVICE Span seeing(i64 pixel, const Window &window, i64 windows) {
  i64 place = pixel + window.padding;
  i64 end = place / window.stride + 1;
  i64 start = place < window.kernel ? 0 : (place - window.kernel) / window.stride + 1;
  Span result = {start, end < windows ? end : windows};
  return result;
}

// Pixels of a window, with those of the padding or without.
DEVICE i64 divisor(Span v, Span u, const Window &window, int count_padding) {
  return count_padding ? (i64) window.kernel * window.kernel : (v.end - v.start) * (u.end - u.start);
}

// ---------------------------------------------------------------------------------------------------------------------

// Of count vectors of N elements, which lie in one row of the result each. Columns are numbers of type I.
template <class I, int N, class S>
DEVICE void upsample_nearest(const S *x, S *y, i64 count, i64 in_h, i64 in_w, i64 out_h, i64 out_w) {
  FOR_EACH(i, count) {
    ELEMENT(i, out_w / N, out_h);
    const S *from = x + (plane * in_h + nearest(row, in_h, out_h)) * in_w;
    Vector<S, N> v;
#pragma unroll
    for (int k = 0; k < N; k++) {
      v.part[k] = from[nearest<I>(column * N + k, in_w, out_w)];
    }
    ((Vector<S, N> *) y)[i] = v;
  }
}

#define NEAREST(suffix, S)                                                                                                  \
  KERNEL(upsample_nearest_##suffix, (const S *x, S *y, i64 count, i64 in_h, i64 in_w, i64 out_h, i64 out_w)) {              \
    if (out_w % WIDTH<S> == 0 && is_wide(y) && (in_w | out_w) >> 31 == 0) {                                                 \
      upsample_nearest<int, WIDTH<S>>(x, y, count / WIDTH<S>, in_h, in_w, out_h, out_w);                                    \
    } else {                                                                                                                \
      upsample_nearest<i64, 1>(x, y, count, in_h, in_w, out_h, out_w);                                                      \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(upsample_nearest_##suffix)                                                                                         \
                                                                                                                            \
  /* dx [H, W]: the sum over the copies of each pixel in dy [H', W'] */                                                     \
  KERNEL(upsample_nearest_grad_##suffix, (const S *dy, S *dx, i64 count, i64 in_h, i64 in_w, i64 out_h, i64 out_w)) {       \
    FOR_EACH(i, count) {                                                                                                    \
      ELEMENT(i, in_w, in_h);                                                                                          \
      i64 bottom = first_target<Nearest>(row + 1, in_h, out_h);                                                             \
      i64 left = first_target<Nearest>(column, in_w, out_w);                                                                \
      i64 right = first_target<Nearest>(column + 1, in_w, out_w);                                                           \
      Computed<S> sum = 0;                                                                                                  \
      for (i64 h = first_target<Nearest>(row, in_h, out_h); h < bottom; h++) {                                              \
        for (i64 w = left; w < right; w++) {                                                                                \
          sum += computed(dy[(plane * out_h + h) * out_w + w]);                                                             \
        }                                                                                                                   \
      }                                                                                                                     \
      dx[i] = stored<S>(sum);                                                                                               \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(upsample_nearest_grad_##suffix)

NEAREST(f32, float)
NEAREST(f64, double)
NEAREST(bf16, bf16)

template <class T> DEVICE T mix(T a, T b, T share) {
  return product(T(1) - share, a) + product(share, b);
}

#define SPATIAL(suffix, T)                                                                                                  \
  KERNEL(upsample_bilinear_##suffix, (const T *x, T *y, i64 count, i64 in_h, i64 in_w, i64 out_h, i64 out_w)) {             \
    FOR_EACH(i, count) {                                                                                                    \
      ELEMENT(i, out_w, out_h);                                                                                        \
      Between<T> v = between<T>(row, in_h, out_h);                                                                          \
      Between<T> u = between<T>(column, in_w, out_w);                                                                       \
      const T *top = x + (plane * in_h + v.low) * in_w;                                                                     \
      const T *bottom = x + (plane * in_h + v.high) * in_w;                                                                 \
      y[i] = mix(mix(top[u.low], top[u.high], u.share), mix(bottom[u.low], bottom[u.high], u.share), v.share);              \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(upsample_bilinear_##suffix)                                                                                        \
                                                                                                                            \
  /* dx [H, W]: each gradient's parts for its upper and lower row, and in each for its left and right column; at the last   \
     row or column both are the same one */                                                                                 \
  KERNEL(upsample_bilinear_grad_##suffix, (const T *dy, T *dx, i64 count, i64 in_h, i64 in_w, i64 out_h, i64 out_w)) {      \
    FOR_EACH(i, count) {                                                                                                    \
      ELEMENT(i, in_w, in_h);                                                                                          \
      i64 end_h = first_target<Lower<T>>(row + 1, in_h, out_h);                                                             \
      i64 start_w = first_target<Lower<T>>(column - 1, in_w, out_w);                                                        \
      i64 end_w = first_target<Lower<T>>(column + 1, in_w, out_w);                                                          \
      T sum = 0;                                                                                                            \
      for (i64 h = first_target<Lower<T>>(row - 1, in_h, out_h); h < end_h; h++) {                                          \
        Between<T> v = between<T>(h, in_h, out_h);                                                                          \
        for (i64 w = start_w; w < end_w; w++) {                                                                             \
          Between<T> u = between<T>(w, in_w, out_w);                                                                        \
          T g = dy[(plane * out_h + h) * out_w + w];                                                                        \
          for (int lower = 0; lower < 2; lower++) {                                                                         \
            if ((lower ? v.high : v.low) == row) {                                                                          \
              T part = product(lower ? v.share : T(1) - v.share, g);                                                        \
              sum += u.low == column ? product(T(1) - u.share, part) : T(0);                                                \
              sum += u.high == column ? product(u.share, part) : T(0);                                                      \
            }                                                                                                               \
          }                                                                                                                 \
        }                                                                                                                   \
      }                                                                                                                     \
      dx[i] = sum;                                                                                                          \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(upsample_bilinear_grad_##suffix)                                                                                   \
                                                                                                                            \
  /* y: the mean over a window of x */                                                                                      \
  KERNEL(avg_pool_##suffix, (const T *x, T *y, i64 count, i64 in_h, i64 in_w, i64 out_h, i64 out_w, int kernel,             \
      int stride, int padding, int count_padding)) {                                                                        \
    Window window = {kernel, stride, padding};                                                                              \
    FOR_EACH(i, count) {                                                                                                    \
      ELEMENT(i, out_w, out_h);                                                                                        \
      Span v = seen(row, window, in_h);                                                                                     \
      Span u = seen(column, window, in_w);                                                                                  \
      T sum = 0;                                                                                                            \
      for (i64 h = v.start; h < v.end; h++) {                                                                               \
        for (i64 w = u.start; w < u.end; w++) {                                                                             \
          sum += x[(plane * in_h + h) * in_w + w];                                                                          \
        }                                                                                                                   \
      }                                                                                                                     \
      y[i] = sum / (T) divisor(v, u, window, count_padding);                                                                \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(avg_pool_##suffix)                                                                                                 \
                                                                                                                            \
  /* dx [H, W]: dy / divisor, of all windows that see a pixel */                                                            \
  KERNEL(avg_pool_grad_##suffix, (const T *dy, T *dx, i64 count, i64 in_h, i64 in_w, i64 out_h, i64 out_w, int kernel,      \
      int stride, int padding, int count_padding)) {                                                                        \
    Window window = {kernel, stride, padding};                                                                              \
    FOR_EACH(i, count) {                                                                                                    \
      ELEMENT(i, in_w, in_h);                                                                                          \
      Span rows = seeing(row, window, out_h);                                                                               \
      Span columns = seeing(column, window, out_w);                                                                         \
      T sum = 0;                                                                                                            \
      for (i64 h = rows.start; h < rows.end; h++) {                                                                         \
        for (i64 w = columns.start; w < columns.end; w++) {                                                                 \
          i64 pixels = divisor(seen(h, window, in_h), seen(w, window, in_w), window, count_padding);                        \
          sum += dy[(plane * out_h + h) * out_w + w] / (T) pixels;                                                          \
        }                                                                                                                   \
      }                                                                                                                     \
      dx[i] = sum;                                                                                                          \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(avg_pool_grad_##suffix)                                                                                            \
                                                                                                                            \
  /* y: the largest of a window of x, NaN if any is; index: where it is in the plane, the first of equals, the last NaN */  \
  KERNEL(max_pool_##suffix, (const T *x, T *y, i64 *index, i64 count, i64 in_h, i64 in_w, i64 out_h, i64 out_w,             \
      int kernel, int stride, int padding)) {                                                                               \
    Window window = {kernel, stride, padding};                                                                              \
    FOR_EACH(i, count) {                                                                                                    \
      ELEMENT(i, out_w, out_h);                                                                                        \
      Span v = seen(row, window, in_h);                                                                                     \
      Span u = seen(column, window, in_w);                                                                                  \
      const T *from = x + plane * in_h * in_w;                                                                              \
      bool any = v.start < v.end && u.start < u.end;                                                                        \
      i64 where = any ? v.start * in_w + u.start : -1;                                                                      \
      T best = any ? from[where] : -(T) bits_to_float(0x7f800000u);                                                         \
      for (i64 h = v.start; h < v.end; h++) {                                                                               \
        for (i64 w = u.start; w < u.end; w++) {                                                                             \
          T here = from[h * in_w + w];                                                                                      \
          if (here > best || here != here) {                                                                                \
            best = here;                                                                                                    \
            where = h * in_w + w;                                                                                           \
          }                                                                                                                 \
        }                                                                                                                   \
      }                                                                                                                     \
      y[i] = best;                                                                                                          \
      index[i] = where;                                                                                                     \
    }                                                                                                                       \
  }                                                                                                                         \
  EXPORT(max_pool_##suffix)

SPATIAL(f32, float)
SPATIAL(f64, double)
