#include "metatomic_columns.h"

#include <algorithm>
#include <cmath>

namespace metatomic {

template <typename T> double PairColumns<T>::bytes() const
{
  return x.bytes() + y.bytes() + z.bytes() + atoms.bytes() + first.bytes() + second.bytes() +
      shifts.bytes() + ends.capacity() * sizeof(int64_t);
}

// Vectors of all candidates, those beyond the cutoff written over by the next one: without a
// branch, which would be mispredicted for every third neighbor.
template <typename T>
static void fill_vectors(const Candidates &candidates, const double *const *x, double cutoff,
                         double scale, PairColumns<T> &pairs)
{
  const double cutoff_squared = cutoff * cutoff;
  // LAMMPS keeps the positions of all atoms in one block
  const double *positions = candidates.rows.empty() ? nullptr : x[0];
  const int *seconds = candidates.atoms.data();
  T *px = pairs.x.data(), *py = pairs.y.data(), *pz = pairs.z.data();
  int *atoms = pairs.atoms.data();
  int64_t c = 0, m = 0;
  for (size_t row = 0; row < candidates.rows.size(); row++) {
    const double *xi = positions + 3 * static_cast<int64_t>(candidates.rows[row].atom);
    const double xi0 = xi[0], xi1 = xi[1], xi2 = xi[2];
    for (const int64_t end = candidates.rows[row].end; c < end; c++) {
      const int j = seconds[c];
      const double *xj = positions + 3 * static_cast<int64_t>(j);
      const double dx = xj[0] - xi0, dy = xj[1] - xi1, dz = xj[2] - xi2;
      px[m] = static_cast<T>(scale * dx);
      py[m] = static_cast<T>(scale * dy);
      pz[m] = static_cast<T>(scale * dz);
      atoms[m] = j;
      m += dx * dx + dy * dy + dz * dz < cutoff_squared;
    }
    pairs.ends[row] = m;
  }
  pairs.n_pairs = m;
}

template <typename T>
void fill_columns(const Nodes &nodes, const Candidates &candidates, const double *const *x,
                  double cutoff, double scale, const ColumnsRead &read, PairColumns<T> &pairs)
{
  const int64_t room = candidates.n_pairs() + 1;
  pairs.x.reserve(room);
  pairs.y.reserve(room);
  pairs.z.reserve(room);
  pairs.atoms.reserve(room);
  pairs.ends.resize(candidates.rows.size());
  fill_vectors(candidates, x, cutoff, scale, pairs);
  const auto *places = nodes.places().data();
  const int *atoms = pairs.atoms.data();
  if (read.second) {
    pairs.second.reserve(room);
    int32_t *second = pairs.second.data();
    for (int64_t m = 0; m < pairs.n_pairs; m++) second[m] = places[atoms[m]].node;
  }
  if (!read.first && !read.shifts) return;
  pairs.first.reserve(room);
  if (read.shifts) pairs.shifts.reserve(3 * room);
  int64_t m = 0;
  for (size_t row = 0; row < candidates.rows.size(); row++) {
    const auto &from = places[candidates.rows[row].atom];
    std::fill(pairs.first.data() + m, pairs.first.data() + pairs.ends[row], from.node);
    for (; read.shifts && m < pairs.ends[row]; m++)
      for (int k = 0; k < 3; k++)
        pairs.shifts.data()[3 * m + k] = places[atoms[m]].shift[k] - from.shift[k];
    m = pairs.ends[row];
  }
}

template <typename T>
int add_forces(const Candidates &candidates, const PairColumns<T> &pairs,
               const Gradients<T> &gradients, double factor, double *const *f)
{
  double *forces = candidates.rows.empty() ? nullptr : f[0];
  const int *atoms = pairs.atoms.data();
  const T *gx = gradients.x, *gy = gradients.y, *gz = gradients.z;
  int problem = -1;
  int64_t m = 0;
  for (size_t row = 0; row < candidates.rows.size(); row++) {
    const int i = candidates.rows[row].atom;
    double sum[3] = {0.0, 0.0, 0.0};
    for (const int64_t end = pairs.ends[row]; m < end; m++) {
      double *fj = forces + 3 * static_cast<int64_t>(atoms[m]);
      const double x = factor * gx[m], y = factor * gy[m], z = factor * gz[m];
      sum[0] += x;
      sum[1] += y;
      sum[2] += z;
      fj[0] -= x;
      fj[1] -= y;
      fj[2] -= z;
    }
    double *fi = forces + 3 * static_cast<int64_t>(i);
    for (int k = 0; k < 3; k++) fi[k] += sum[k];
    if (!std::isfinite(sum[0] + sum[1] + sum[2])) problem = i;
  }
  return problem;
}

template <typename T>
void add_products(const PairColumns<T> &pairs, const Gradients<T> &gradients, double *matrix)
{
  const T *r[3] = {pairs.x.data(), pairs.y.data(), pairs.z.data()};
  const T *g[3] = {gradients.x, gradients.y, gradients.z};
  // several sums for each product, so that they need not wait for each other
  constexpr int N = 8;
  double sums[9][N] = {};
  const int64_t whole = pairs.n_pairs / N * N;
  for (int64_t m = 0; m < whole; m += N)
    for (int a = 0; a < 3; a++)
      for (int b = 0; b < 3; b++)
        for (int k = 0; k < N; k++)
          sums[3 * a + b][k] += static_cast<double>(r[a][m + k]) * static_cast<double>(g[b][m + k]);
  for (int64_t m = whole; m < pairs.n_pairs; m++)
    for (int a = 0; a < 3; a++)
      for (int b = 0; b < 3; b++)
        sums[3 * a + b][0] += static_cast<double>(r[a][m]) * static_cast<double>(g[b][m]);
  for (int n = 0; n < 9; n++)
    for (int k = 0; k < N; k++) matrix[n] += sums[n][k];
}

#define METATOMIC_COLUMNS(T)                                                                       \
  template struct PairColumns<T>;                                                                  \
  template void fill_columns(const Nodes &, const Candidates &, const double *const *, double,     \
                             double, const ColumnsRead &, PairColumns<T> &);                       \
  template int add_forces(const Candidates &, const PairColumns<T> &, const Gradients<T> &,        \
                          double, double *const *);                                                \
  template void add_products(const PairColumns<T> &, const Gradients<T> &, double *);

METATOMIC_COLUMNS(double)
METATOMIC_COLUMNS(float)

}  // namespace metatomic
