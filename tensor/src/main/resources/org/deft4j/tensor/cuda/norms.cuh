#include "teams.cuh"
#include "tiles.cuh"
// Means and variances lose no digits to an offset that is large beside the deviation: of a row are found its sum, and with the centre c
// that gives, d = sum(x - c) and q = sum((x - c)^2); then mean = c + d / n, its T and what rounding took from it (low), and
// variance = (q - d^2 / n) / n. Results are computed from (x - mean) - low.

// The mean is mean + low; rstd = 1 / sqrt(variance + eps).
template <class T> struct Statistics {
  T mean;
  T low;
  T rstd;
};

// Of n elements with that mean - centre = shift and sum((x - mean)^2) = squares.
template <class T> DEVICE Statistics<T> statistics(T centre, T shift, T squares, i64 n, T eps) {
  Statistics<T> s;
  s.mean = centre + shift;
  s.low = shift - (s.mean - centre);
  s.rstd = T(1) / sqrt(nan_max(squares / T(n), T(0)) + eps);
  return s;
}
