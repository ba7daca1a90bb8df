// Pairs by columns, as compiled code takes them, and what it gives for them.
//
// Without torch, and of the classes of LAMMPS only Nodes.

#ifndef METATOMIC_COLUMNS_H
#define METATOMIC_COLUMNS_H

#include "metatomic_nodes.h"

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace metatomic {

// Memory of one column: at cache lines, and not kept when it grows.
template <typename T> class Column {
 public:
  void reserve(int64_t n)
  {
    if (n <= capacity_) return;
    capacity_ = n + n / 8 + 64;
    const size_t bytes = (capacity_ * sizeof(T) + 63) / 64 * 64;
    data_.reset(static_cast<T *>(std::aligned_alloc(64, bytes)));
    if (!data_) throw std::bad_alloc();
  }
  T *data() const { return data_.get(); }
  double bytes() const { return static_cast<double>(capacity_) * sizeof(T); }

 private:
  struct Free {
    void operator()(T *data) const { std::free(data); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t capacity_ = 0;
};

// What compiled code reads of the pairs, besides their vectors.
struct ColumnsRead {
  bool first = false, second = false, shifts = false;
};

// The pairs of one list that are closer than the cutoff, in the order of its candidates; T is the
// floating point type of the model.
template <typename T> struct PairColumns {
  Column<T> x, y, z;                      // from the first to the second atom, in the model's unit
  Column<int> atoms;                      // LAMMPS' indices of second atoms
  Column<int32_t> first, second, shifts;  // nodes, and (n_pairs, 3); only where they are read
  std::vector<int64_t> ends;              // of the rows of the candidates
  int64_t n_pairs = 0;

  double bytes() const;
};

// dE/dvectors of the pairs of one list.
template <typename T> struct Gradients {
  const T *x, *y, *z;
};

// `scale` is the model's unit in LAMMPS' one.
template <typename T>
void fill_columns(const Nodes &nodes, const Candidates &candidates, const double *const *x,
                  double cutoff, double scale, const ColumnsRead &read, PairColumns<T> &pairs);

// Add forces to those of LAMMPS' atoms, `factor` times those of the model.  Gives an atom whose
// force is not finite, or -1.
template <typename T>
int add_forces(const Candidates &candidates, const PairColumns<T> &pairs,
               const Gradients<T> &gradients, double factor, double *const *f);

// Sum of products of vectors and dE/dvectors, (3, 3): minus the virial, in the model's unit.
template <typename T>
void add_products(const PairColumns<T> &pairs, const Gradients<T> &gradients, double *matrix);

// The same for each pair, half of it for each of its two atoms, given to `add(atom, matrix)`.
template <typename T, typename Add>
void share_products(const Candidates &candidates, const PairColumns<T> &pairs,
                    const Gradients<T> &gradients, double factor, Add add)
{
  int64_t m = 0;
  for (size_t row = 0; row < candidates.rows.size(); row++)
    for (; m < pairs.ends[row]; m++) {
      const double r[3] = {pairs.x.data()[m], pairs.y.data()[m], pairs.z.data()[m]};
      const double g[3] = {gradients.x[m], gradients.y[m], gradients.z[m]};
      double matrix[9];
      for (int a = 0; a < 3; a++)
        for (int b = 0; b < 3; b++) matrix[3 * a + b] = 0.5 * factor * r[a] * g[b];
      add(candidates.rows[row].atom, matrix);
      add(pairs.atoms.data()[m], matrix);
    }
}

}  // namespace metatomic

#endif
