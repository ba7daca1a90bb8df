// Pair style for model files of metatomic-core.

#ifndef LMP_PAIR_METATOMIC_H
#define LMP_PAIR_METATOMIC_H

#include "pair.h"

#include <string>

struct AtomOutput;

namespace LAMMPS_NS {

class PairMetatomic : public Pair {
 public:
  PairMetatomic(class LAMMPS *);
  ~PairMetatomic() override;

  void settings(int, char **) override;
  void coeff(int, char **) override;
  void init_style() override;
  double init_one(int, int) override;
  void compute(int, int) override;
  void finish() override;
  void *extract(const char *, int &) override;
  void *extract_peratom(const char *, int &) override;
  int pack_forward_comm(int, int *, double *, int, int *) override;
  void unpack_forward_comm(int, int, double *) override;
  double memory_usage() override;

 private:
  struct Data;
  Data *data;

  static void name_units(Data &);
  void choose_outputs(Data &) const;
  static std::string unknown_output(const Data &, const std::string &);
  void keep_users(const Data &);
  void agree(const std::string &);
  void check_setup();
  void widen_ghost_shell();
  void ask_for_shell();
  void restore_ghost_shell();
  void prepare();
  void fill_inputs();
  void choose_results();
  void evaluate_system();
  void check_results();
  void add_results();
  void add_atomic_virials();
  void make_room(AtomOutput &) const;
  void store_outputs();
  void warn_uncertain();
};

}    // namespace LAMMPS_NS

#endif
