#include "solver/ilp_glpk.hpp"

#include <glpk.h>

#include <algorithm>
#include <memory>

namespace snug::solver {
namespace {

struct Deleter {
  void operator()(glp_prob* p) const { glp_delete_prob(p); }
};
using GlpkProblem = std::unique_ptr<glp_prob, Deleter>;

/// GLPK counts from 1.
GlpkProblem load(const Ilp& ilp) {
  glp_term_out(GLP_OFF);
  GlpkProblem p{glp_create_prob()};
  glp_set_obj_dir(p.get(), GLP_MIN);
  const int columns = static_cast<int>(ilp.objective.size());
  if (columns > 0) glp_add_cols(p.get(), columns);
  for (int c = 0; c < columns; ++c) {
    glp_set_col_kind(p.get(), c + 1, GLP_BV);
    glp_set_obj_coef(p.get(), c + 1, ilp.objective[c]);
  }
  for (const Ilp::Row& row : ilp.rows) {
    const int r = glp_add_rows(p.get(), 1);
    glp_set_row_bnds(p.get(), r, row.equal ? GLP_FX : GLP_UP, row.upper, row.upper);
    std::vector<int> index{0};
    std::vector<double> value{0};
    for (const auto& [column, coefficient] : row.terms) {
      index.push_back(column + 1);
      value.push_back(coefficient);
    }
    glp_set_mat_row(p.get(), r, static_cast<int>(row.terms.size()), index.data(), value.data());
  }
  return p;
}

int milliseconds(double seconds) {
  return static_cast<int>(std::clamp(seconds, 0.001, 1e6) * 1000);
}

IlpAnswer relax(glp_prob* p, double seconds) {
  glp_smcp parameters;
  glp_init_smcp(&parameters);
  parameters.msg_lev = GLP_MSG_OFF;
  parameters.tm_lim = milliseconds(seconds);
  glp_scale_prob(p, GLP_SF_AUTO);
  glp_adv_basis(p, 0);
  IlpAnswer answer;
  const int code = glp_simplex(p, &parameters);
  const int status = glp_get_status(p);
  if (status == GLP_NOFEAS || status == GLP_INFEAS) {
    const bool proven = code == 0 && status == GLP_NOFEAS;
    answer.status = proven ? IlpAnswer::Status::infeasible : IlpAnswer::Status::out_of_time;
  }
  if (code != 0 || status != GLP_OPT) return answer;
  answer.status = IlpAnswer::Status::optimal;
  answer.bound = glp_get_obj_val(p);
  for (int c = 1; c <= glp_get_num_cols(p); ++c) answer.x.push_back(glp_get_col_prim(p, c));
  for (int r = 1; r <= glp_get_num_rows(p); ++r) answer.price.push_back(-glp_get_row_dual(p, r));
  return answer;
}

/// What the branch and cut asks back for, once: the start.
struct Callback {
  std::vector<double> start;  // 1-based
  bool given = false;
  double best_bound = 0;
};

void on_event(glp_tree* tree, void* info) {
  auto& callback = *static_cast<Callback*>(info);
  if (glp_ios_reason(tree) == GLP_IHEUR && !callback.given && callback.start.size() > 1) {
    callback.given = true;
    glp_ios_heur_sol(tree, callback.start.data());
  }
  if (const int node = glp_ios_best_node(tree); node != 0)
    callback.best_bound = glp_ios_node_bound(tree, node);
}

IlpAnswer::Status status_of(int code, int status) {
  if (code == 0 && status == GLP_OPT) return IlpAnswer::Status::optimal;
  if (code == 0 && status == GLP_NOFEAS) return IlpAnswer::Status::infeasible;
  return code == GLP_EMIPGAP ? IlpAnswer::Status::gap_reached : IlpAnswer::Status::out_of_time;
}

}  // namespace

IlpAnswer solve_relaxed(const Ilp& ilp, double seconds) {
  return relax(load(ilp).get(), seconds);
}

IlpAnswer solve_ilp(const Ilp& ilp, double seconds, double gap, const std::vector<double>& start) {
  const GlpkProblem p = load(ilp);
  IlpAnswer answer = relax(p.get(), seconds);
  if (answer.status != IlpAnswer::Status::optimal) return answer;
  Callback callback{{0}, false, answer.bound};
  callback.start.insert(callback.start.end(), start.begin(), start.end());
  glp_iocp parameters;
  glp_init_iocp(&parameters);
  parameters.msg_lev = GLP_MSG_OFF;
  parameters.tm_lim = milliseconds(seconds);
  parameters.mip_gap = gap;
  parameters.cov_cuts = GLP_ON;
  parameters.mir_cuts = GLP_ON;
  parameters.cb_func = on_event;
  parameters.cb_info = &callback;
  const int code = glp_intopt(p.get(), &parameters);
  const int status = glp_mip_status(p.get());
  answer.status = status_of(code, status);
  answer.x.clear();
  answer.bound = std::max(answer.bound, callback.best_bound);
  if (status == GLP_OPT || status == GLP_FEAS)
    for (int c = 1; c <= glp_get_num_cols(p.get()); ++c) answer.x.push_back(glp_mip_col_val(p.get(), c));
  if (answer.status == IlpAnswer::Status::optimal) answer.bound = glp_mip_obj_val(p.get());
  return answer;
}

}  // namespace snug::solver
