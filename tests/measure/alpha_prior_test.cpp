// What tensors are worth that nobody has run.
#include "measure/alpha_prior.hpp"

#include <gtest/gtest.h>

namespace snug {
namespace {

TEST(AlphaPrior, ABlockThatDraftsIsNotTheLastOneAndStandsForItself) {
  ModelShape plain, drafting;
  plain.layers = 48;
  drafting.layers = 49;
  drafting.draft_layers = 1;
  const double scale = 48.0 / 49;
  for (const Role role : {Role::ffn_down, Role::ffn_shexp, Role::attn_v, Role::ffn_gate_exps}) {
    SCOPED_TRACE(role_name(role));
    EXPECT_NEAR(alpha_prior(role, 47, drafting), scale * alpha_prior(role, 47, plain), 1e-12);  // the last one still
    EXPECT_GT(alpha_prior(role, 48, drafting), 4 * alpha_prior(role, 30, drafting));            // a bit more at least
    EXPECT_LT(alpha_prior(role, 48, drafting), 16 * alpha_prior(role, 30, drafting));
  }
  for (const Role whole : {Role::output, Role::token_embd})
    EXPECT_EQ(alpha_prior(whole, 48, drafting), alpha_prior(whole, -1, drafting));
  EXPECT_GT(alpha_prior(Role::other, 48, drafting), alpha_prior(Role::attn_q, 30, drafting));
}

TEST(AlphaPrior, InAShallowModelABlockThatDraftsIsLikeTheOthers) {
  ModelShape shape;
  shape.layers = 3;
  shape.draft_layers = 1;
  EXPECT_EQ(alpha_prior(Role::attn_q, 2, shape), alpha_prior(Role::attn_q, 1, shape));
}

}  // namespace
}  // namespace snug
