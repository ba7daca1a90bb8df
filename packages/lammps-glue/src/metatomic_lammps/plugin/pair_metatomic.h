// Pair style for model files of metatomic-core.

#ifndef LMP_PAIR_METATOMIC_H
#define LMP_PAIR_METATOMIC_H

#include "pair.h"

#include <string>

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

  void choose_outputs(Data &) const;
  void keep_users(const Data &);
  std::string first_problem(const std::string &);
  void agree(const std::string &);
  void load_kernel(Data &);
  void choose_kernel();
  void check_setup();
  void choose_lists();
  void tell_unknown_locality();
  void choose_inputs();
  void widen_ghost_shell();
  void ask_for_shell();
  void restore_ghost_shell();
  void prepare();
  void fill_structure();
  void evaluate_compiled();
  void add_compiled_results();
  void update_nodes();
  void fill_inputs();
  void choose_results();
  void evaluate_system();
  void check_results();
  void find_mean_force();
  void add_results();
  void add_atomic_virials();
  void store_outputs();
  void store_system_outputs();
  void warn_uncertain();
};

}  // namespace LAMMPS_NS

#endif
