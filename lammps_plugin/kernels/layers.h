/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   The network of a Gaussian-moment potential, its gradient features, and the pull-back of both.
   The equations are those of AtomicNetwork.layer_gradients in pyubias/potential.py and of the
   features in pyubias/uncertainty.py, where the same is written in plain PyTorch.

   Layers l = 0 ... L-1, with h_0 = G the invariants:

     [z_l | P_l] = [h_l, 1] M_l          h_{l+1} = gain silu(z_l), s_l and c_l its derivatives
     [t_{l-1} | Q_l] = delta_l N_l       delta_l = dz_{L-1}/dz_l = t_l s_l, delta_{L-1} = 1

   M_l = [W_l^T/sqrt(d_l) | U_l] and N_l = [W_l/sqrt(d_l) | V_l] hold weights and sketches side by
   side, so that each layer is one product. U_0 stands apart: row k of it has weights for the
   projections of group k mod GROUPS only. Features of an atom with unit k = dE/dz_{L-1}:

     sketched     k sum_l P_l * Q_l
     last layer   k [h_{L-1}/sqrt(d_{L-1}), bias scale]

   Numbers of A atoms, one register, lie side by side: [row][atom]. What belongs to A atoms is a
   column of rows of its own; products work on three columns at a time, so that each
   weight is loaded once for all of them. Included by gaussian_moments_kernel.cpp only.
*/

// Rows of numbers, every step-th, in columns that lie `stride` numbers apart

template <typename T> struct Span {
  T *data;
  size_t stride;
  int step = 1;
};

// y[m] = start[m] + sum_k b(m, k) x[k] in N columns; with `add`, what was there instead of start

template <typename T, int N, int M, bool ROWS>
inline void tile(const T *b, int ld, int n_k, Span<const T> x, const T *start, bool add, Span<T> y,
                 int first)
{
  constexpr int A = atom_lanes<T>();
  using Register = typename Pack<T, A>::Register;
  using Memory = typename Pack<T, A>::Memory;
  Register total[M][N];
#pragma GCC unroll 24
  for (int m = 0; m < M; m++)
#pragma GCC unroll 24
    for (int c = 0; c < N; c++)
      total[m][c] = add ? *(const Memory *) (y.data + c * y.stride + (first + m) * y.step * A)
                        : Register{} + (start ? start[m] : T(0));
  for (int k = 0; k < n_k; k++) {
    Register in[N];
#pragma GCC unroll 24
    for (int c = 0; c < N; c++) in[c] = *(const Memory *) (x.data + c * x.stride + k * x.step * A);
#pragma GCC unroll 24
    for (int m = 0; m < M; m++) {
      const T w = ROWS ? b[(size_t) m * ld + k] : b[(size_t) k * ld + m];
#pragma GCC unroll 24
      for (int c = 0; c < N; c++) total[m][c] += in[c] * w;
    }
  }
#pragma GCC unroll 24
  for (int m = 0; m < M; m++)
#pragma GCC unroll 24
    for (int c = 0; c < N; c++)
      *(Memory *) (y.data + c * y.stride + (first + m) * y.step * A) = total[m][c];
}

constexpr int MAX_COLUMNS = 6;
constexpr int ACCUMULATORS = REGISTER_BYTES == 64 ? 24 : 12;    // of 32 or 16 registers
constexpr int CHUNK = 64;    // of k: what is read of b with strides stays in cache and TLB

// rows m to m + M of y in all columns, three at a time; four are two and two

template <typename T, int M, bool ROWS>
void tiles(int columns, const T *b, int ld, int n_k, Span<const T> x, const T *start, bool add,
           Span<T> y, int m)
{
  for (int c = 0; c < columns;) {
    const int left = columns - c;
    if (left == 1)
      tile<T, 1, M, ROWS>(b, ld, n_k, x, start, add, y, m);
    else if (left == 2 || left == 4)
      tile<T, 2, M, ROWS>(b, ld, n_k, x, start, add, y, m);
    else
      tile<T, 3, M, ROWS>(b, ld, n_k, x, start, add, y, m);
    const int done = left == 1 ? 1 : left == 2 || left == 4 ? 2 : 3;
    c += done;
    x.data += done * x.stride;
    y.data += done * y.stride;
  }
}

template <typename T, int M, bool ROWS>
void multiply_by_tiles(int columns, const T *b, int ld, int n_m, int n_k, Span<const T> x,
                       const T *start, bool add, Span<T> y)
{
  auto at = [&](int m) {
    return b + (ROWS ? (size_t) m * ld : m);
  };
  int m = 0;
  for (; m + M <= n_m; m += M)
    tiles<T, M, ROWS>(columns, at(m), ld, n_k, x, start ? start + m : nullptr, add, y, m);
  for (; m < n_m; m++)
    tiles<T, 1, ROWS>(columns, at(m), ld, n_k, x, start ? start + m : nullptr, add, y, m);
}

// b(m, k) is b[m][k] with ROWS, else b[k][m]

template <typename T, bool ROWS>
void multiply(int columns, const T *b, int ld, int n_m, int n_k, Span<const T> x, const T *start,
              bool add, Span<T> y)
{
  constexpr int A = atom_lanes<T>();
  auto function = columns == 1 ? multiply_by_tiles<T, ACCUMULATORS, ROWS>
                               : multiply_by_tiles<T, ACCUMULATORS / 3, ROWS>;
  if (ROWS || n_k == 0) {
    function(columns, b, ld, n_m, n_k, x, start, add, y);
    return;
  }
  for (int k = 0; k < n_k; k += CHUNK) {
    function(columns, b + (size_t) k * ld, ld, n_m, smaller(CHUNK, n_k - k), x,
             k == 0 ? start : nullptr, add || k > 0, y);
    x.data += CHUNK * x.step * A;
  }
}

// where everything lies in a column, in rows

struct Rows {
  int psi, invariants, h[MAX_LAYERS + 1], slope[MAX_LAYERS], curvature[MAX_LAYERS],
      before_slope[MAX_LAYERS], delta[MAX_LAYERS], p[MAX_LAYERS], q[MAX_LAYERS], total;

  template <typename T> Rows(const Network<T> &net, int n_radial, bool with_features)
  {
    int next = 0;
    auto take = [&next](int n) {
      const int at = next;
      next += n;
      return at;
    };
    psi = take(n_radial * N_COMPONENTS);
    invariants = h[0] = take(net.width[0]);
    const int n_sketches = with_features ? net.n_sketches : 0;
    for (int l = 0; l < net.n_layers; l++) {
      // z_l and P_l lie side by side, t_{l-1} and Q_l too, as the products leave them
      h[l + 1] = take(net.width[l + 1]);
      p[l] = take(n_sketches);
      if (l > 0) before_slope[l - 1] = take(net.width[l]);
      q[l] = take(n_sketches);
      if (l == net.n_layers - 1) break;
      slope[l] = take(net.width[l + 1]);
      curvature[l] = take(net.width[l + 1]);
      delta[l] = take(net.width[l + 1]);
    }
    total = next;
  }
};

// z in place to gain silu(z); slope and curvature

template <typename T>
void activate(T gain, int n, T *__restrict__ z, T *__restrict__ slope, T *__restrict__ curvature)
{
#pragma GCC ivdep
  for (int k = 0; k < n; k++) {
    const T x = z[k], e = exponential(x < 0 ? x : -x), inverse = T(1.0) / (T(1.0) + e);
    const T gate = x < 0 ? e * inverse : inverse, rest = gate * (T(1.0) - gate);
    slope[k] = gain * (gate + x * rest);
    curvature[k] = gain * rest * (T(2.0) + x * (T(1.0) - T(2.0) * gate));
    z[k] = gain * x * gate;
  }
}

template <typename T> class Layers {
 public:
  static constexpr int A = atom_lanes<T>();

  Layers(const Network<T> &network, const Rows &rows, bool with_features) :
      net(network), at(rows), last(net.n_layers - 1), p(with_features ? net.n_sketches : 0),
      stride((size_t) at.total * A)
  {
  }

  // invariants to z_{L-1}, and what the features and the pull-backs need

  void evaluate(T *columns, int n) const
  {
    for (int l = 0; l <= last; l++) {
      const T *m = net.inputs[l];
      const int ld = net.columns_of_inputs(l);
      multiply<T, false>(n, m, ld, net.width[l + 1] + (l > 0 ? p : 0), net.width[l],
                         input(columns, at.h[l]), m + (size_t) net.width[l] * ld, false,
                         span(columns, at.h[l + 1]));
      if (l < last)
        for (int c = 0; c < n; c++) {
          T *column = columns + c * stride;
          activate(net.gain, net.width[l + 1] * A, row(column, at.h[l + 1]),
                   row(column, at.slope[l]), row(column, at.curvature[l]));
        }
    }

    if (p > 0)
      for_groups([&](const T *u, int ld, int n_inputs, int group) {
        multiply<T, false>(n, u, ld, p / GROUPS, n_inputs, input(columns, at.h[0] + group, GROUPS),
                           net.first_sketch + (size_t) (net.width[0] + group) * (p / GROUPS), false,
                           span(columns, at.p[0] + group * (p / GROUPS)));
      });

    // the sensitivities, from the last layer to the first

    for (int c = 0; c < n; c++) {
      T *column = columns + c * stride;
      if (last > 0)
        fill(row(column, at.before_slope[last - 1]), net.sensitivities[last], net.width[last]);
      fill(row(column, at.q[last]), net.sensitivities[last] + net.width[last], p);
    }
    for (int l = last - 1; l >= 0; l--) {
      for (int c = 0; c < n; c++) {
        T *column = columns + c * stride;
        product(net.width[l + 1], row(column, at.before_slope[l]), row(column, at.slope[l]),
                row(column, at.delta[l]));
      }
      const int skip = l > 0 ? 0 : net.width[0];    // dz/dG is the pull-back's
      multiply<T, false>(n, net.sensitivities[l] + skip, net.width[l] + net.n_sketches,
                         net.width[l] - skip + p, net.width[l + 1], input(columns, at.delta[l]),
                         nullptr, false, span(columns, l > 0 ? at.before_slope[l - 1] : at.q[0]));
    }
  }

  // features [row][atom] of one column, without their unit

  void features(const T *column, T *result) const
  {
    if (net.n_sketches == 0) {
      const T *h = row(column, at.h[last]);
      for (int k = 0; k < net.width[last] * A; k++) result[k] = h[k] * net.last_scale;
      for (int a = 0; a < A; a++) result[net.width[last] * A + a] = net.bias_scale;
      return;
    }
    for (int k = 0; k < p * A; k++) {
      T total = 0;
      for (int l = 0; l <= last; l++) total += row(column, at.p[l])[k] * row(column, at.q[l])[k];
      result[k] = total;
    }
  }

  // dz_{L-1}/dG of n columns, into the rows of G of n other columns

  void output_gradient(const T *columns, int n, T *work) const
  {
    if (last == 0)
      for (int c = 0; c < n; c++)
        fill(row(work, at.h[0]) + c * stride, net.sensitivities[0], net.width[0]);
    else
      multiply<T, false>(n, net.sensitivities[0], net.width[0] + net.n_sketches, net.width[0],
                         net.width[1], input(columns, at.delta[0]), nullptr, false,
                         span(work, at.h[0]));
  }

  // d(a . features)/dG, with a [row][atom] for each column, into the rows of G of n other columns

  void features_gradient(const T *columns, int n, const T *a, T *work) const
  {
    for (int c = 0; c < n; c++)
      start_back(columns + c * stride, a + (size_t) c * net.n_features() * A, work + c * stride);

    // the sensitivities were found from the last layer to the first; back again

    if (net.n_sketches > 0)
      for (int l = 0; l < last; l++) {
        const int skip = l > 0 ? 0 : net.width[0];
        multiply<T, true>(n, net.sensitivities[l] + skip, net.width[l] + net.n_sketches,
                          net.width[l + 1], net.width[l] - skip + p,
                          input(work, l > 0 ? at.before_slope[l - 1] : at.q[0]), nullptr, false,
                          span(work, at.delta[l]));
        for (int c = 0; c < n; c++) {
          const T *column = columns + c * stride;
          T *d = work + c * stride;
          product(net.width[l + 1], row(d, at.delta[l]), row(column, at.slope[l]),
                  row(d, at.before_slope[l]));
          product(net.width[l + 1], row(d, at.delta[l]), row(column, at.before_slope[l]),
                  row(d, at.slope[l]));
        }
      }

    for (int l = net.n_sketches > 0 ? last : last - 1; l >= 0; l--) {
      if (l < last)
        for (int c = 0; c < n; c++) {
          const T *column = columns + c * stride;
          T *d = work + c * stride;
          bend(net.width[l + 1], row(column, at.slope[l]), row(column, at.curvature[l]),
               row(d, at.slope[l]), row(d, at.h[l + 1]));
        }
      multiply<T, true>(n, net.inputs[l], net.columns_of_inputs(l), net.width[l],
                        net.width[l + 1] + (l > 0 ? p : 0), input(work, at.h[l + 1]), nullptr,
                        false, span(work, at.h[l]));
    }
    if (p > 0)
      for_groups([&](const T *u, int ld, int n_inputs, int group) {
        multiply<T, true>(n, u, ld, n_inputs, p / GROUPS,
                          input(work, at.p[0] + group * (p / GROUPS)), nullptr, true,
                          span(work, at.h[0] + group, GROUPS));
      });
  }

 private:
  const Network<T> &net;
  const Rows &at;
  const int last, p;
  const size_t stride;

  // cotangents of what the features are made of

  void start_back(const T *column, const T *a, T *d) const
  {
    if (net.n_sketches == 0) {
      T *h = row(d, at.h[last]);
      for (int k = 0; k < net.width[last] * A; k++) h[k] = a[k] * net.last_scale;
      for (int l = 0; l < last; l++)
        memset(row(d, at.slope[l]), 0, net.width[l + 1] * A * sizeof(T));
      return;
    }
    for (int l = 0; l <= last; l++) {
      product(p, a, row(column, at.q[l]), row(d, at.p[l]));
      product(p, a, row(column, at.p[l]), row(d, at.q[l]));
    }
    memset(row(d, at.h[net.n_layers]), 0, A * sizeof(T));
  }

  // dh in place to dz

  static void bend(int n, const T *__restrict__ slope, const T *__restrict__ curvature,
                   const T *__restrict__ d_slope, T *__restrict__ d)
  {
    for (int k = 0; k < n * A; k++) d[k] = d[k] * slope[k] + d_slope[k] * curvature[k];
  }

  // function(rows of U_0, how far they lie apart, how many, group)

  template <typename Function> void for_groups(Function &&function) const
  {
    const int n = p / GROUPS;
    for (int group = 0; group < GROUPS && group < net.width[0]; group++)
      function(net.first_sketch + (size_t) group * n, GROUPS * n,
               (net.width[0] - group + GROUPS - 1) / GROUPS, group);
  }

  Span<T> span(T *columns, int k, int step = 1) const
  {
    return {columns + (size_t) k * A, stride, step};
  }
  Span<const T> input(const T *columns, int k, int step = 1) const
  {
    return {columns + (size_t) k * A, stride, step};
  }

  static T *row(T *column, int k) { return column + (size_t) k * A; }
  static const T *row(const T *column, int k) { return column + (size_t) k * A; }

  static void fill(T *rows, const T *values, int n)
  {
    for (int k = 0; k < n; k++)
      for (int a = 0; a < A; a++) rows[k * A + a] = values[k];
  }

  static void product(int n, const T *__restrict__ a, const T *__restrict__ b, T *__restrict__ c)
  {
    for (int k = 0; k < n * A; k++) c[k] = a[k] * b[k];
  }
};
