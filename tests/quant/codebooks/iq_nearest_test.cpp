#include "quant/kernels/iq_nearest.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "quant/kernels/encode_iq1.hpp"
#include "quant/kernels/encode_iq2.hpp"
#include "quant/kernels/encode_iq3.hpp"
#include "quant/kernels/simd_scalar.hpp"

namespace snug {
namespace {

/// A super-block of heavy-tailed weights of uneven importance.
IqBlock random_block(uint32_t seed) {
  std::mt19937 random{seed};
  std::student_t_distribution<float> student{4};
  std::normal_distribution<float> normal;
  float x[kSuperBlock], v[kSuperBlock];
  for (float& weight : x) weight = student(random);
  for (float& importance : v) importance = std::exp(normal(random));
  IqBlock block;
  EXPECT_TRUE(load_block<Scalar>(block, x, v));
  return block;
}

struct Problem {
  const float *x, *v;
  float t;
};

double squared(double x) {
  return x * x;
}

/// The least error of eight weights over all entries and, where signs have parity, over which one is wrong.
template <class Value>
double least_of_8(const Book<Value>& book, Problem p, bool parity, float shift, bool is_signed) {
  int negatives = 0;
  for (int j = 0; j < 8; ++j) negatives += p.x[j] < 0;
  const bool odd = parity && negatives % 2;
  double least = 1e300;
  for (int e = 0; e < book.entries; ++e) {
    double sum = 0, flip = 1e300;
    for (int j = 0; j < 8; ++j) {
      const double point = static_cast<double>(book.values[8 * e + j]) + shift;
      const double x = is_signed ? p.x[j] : std::abs(p.x[j]);
      const double right = p.v[j] * squared(p.t * point - x);
      sum += right;
      flip = std::min(flip, p.v[j] * squared(p.t * point + x) - right);
    }
    least = std::min(least, odd ? sum + flip : sum);
  }
  return least;
}

double least_of_quads(const Book<uint8_t>& book, Problem p, bool parity) {
  int negatives = 0;
  double plain[2] = {1e300, 1e300}, flipped[2] = {1e300, 1e300};
  for (int quad = 0; quad < 2; ++quad) {
    for (int j = 4 * quad; j < 4 * quad + 4; ++j) negatives += p.x[j] < 0;
    for (int e = 0; e < book.entries; ++e) {
      double sum = 0, flip = 1e300;
      for (int j = 0; j < 4; ++j) {
        const double point = book.values[4 * e + j], x = std::abs(p.x[4 * quad + j]), v = p.v[4 * quad + j];
        const double right = v * squared(p.t * point - x);
        sum += right;
        flip = std::min(flip, v * squared(p.t * point + x) - right);
      }
      plain[quad] = std::min(plain[quad], sum);
      flipped[quad] = std::min(flipped[quad], sum + flip);
    }
  }
  if (!parity || negatives % 2 == 0) return plain[0] + plain[1];
  return std::min(plain[0] + flipped[1], flipped[0] + plain[1]);
}

/// Settles every sub-block of random super-blocks at random scales and compares with enumeration.
template <class Form, class Least>
void expect_exact(Least&& least) {
  for (uint32_t seed = 0; seed < 3; ++seed) {
    SCOPED_TRACE(seed);
    const IqBlock block = random_block(seed);
    const Form form(block);
    std::mt19937 random{seed};
    for (int from = 0; from < kSuperBlock; from += Form::kSubWeights) {
      const float t = typical_scale<Scalar>(block, from, Form::kSubWeights) * Form::kTypical *
                      std::uniform_real_distribution<float>{0.4f, 1.4f}(random);
      float a, b;
      const IqCodes codes = form.settle(from, t, a, b);
      double expected = 0, energy = 0;
      for (int j = from; j < from + Form::kSubWeights; j += 8)
        expected += least(Problem{block.x + j, block.v + j, t}, codes.sign[(j - from) / 8]);
      for (int j = from; j < from + Form::kSubWeights; ++j)
        energy += static_cast<double>(block.v[j]) * block.x[j] * block.x[j];
      EXPECT_NEAR(static_cast<double>(t) * t * a - 2.0 * t * b + energy, expected, 1e-5 * energy);
    }
  }
}

template <class Traits>
void expect_iq2_exact(bool parity) {
  expect_exact<Iq2Form<Scalar, Traits>>(
      [&](Problem p, uint8_t) { return least_of_8(Traits::book(), p, parity, 0, false); });
}

TEST(IqNearest, Iq2SettlesOnTheBestPointAndTheCheapestWrongSign) {
  expect_iq2_exact<Iq2XxsTraits>(true);
  expect_iq2_exact<Iq2XsTraits>(true);
  expect_iq2_exact<Iq2STraits>(false);
}

TEST(IqNearest, Iq3SettlesOnTheBestPointsAndTheCheapestWrongSign) {
  expect_exact<Iq3Form<Scalar, Iq3XxsTraits>>(
      [](Problem p, uint8_t) { return least_of_quads(search_iq3_xxs(), p, true); });
  expect_exact<Iq3Form<Scalar, Iq3STraits>>(
      [](Problem p, uint8_t) { return least_of_quads(search_iq3_s(), p, false); });
}

TEST(IqNearest, Iq1SettlesOnTheBestPoint) {
  const auto least = [](Problem p, uint8_t down) {
    return least_of_8(search_iq1(), p, false, down ? -0.125f : 0.125f, true);
  };
  expect_exact<Iq1Form<Scalar, Iq1STraits>>(least);
  expect_exact<Iq1Form<Scalar, Iq1MTraits>>(least);
}

TEST(IqNearest, Iq1MTakesTheBetterShiftOfEveryEight) {
  const IqBlock block = random_block(9);
  const Iq1Form<Scalar, Iq1MTraits> form(block);
  for (int from = 0; from < kSuperBlock; from += 16) {
    const float t = typical_scale<Scalar>(block, from, 16);
    float a, b;
    const IqCodes codes = form.settle(from, t, a, b);
    for (int i = 0; i < 2; ++i) {
      const Problem p{block.x + from + 8 * i, block.v + from + 8 * i, t};
      const double up = least_of_8(search_iq1(), p, false, 0.125f, true);
      const double down = least_of_8(search_iq1(), p, false, -0.125f, true);
      EXPECT_LE(codes.sign[i] ? down : up, std::min(up, down) * 1.0001);
    }
  }
}

/// Error less sum v x^2 of the points guessed for a sub-block, alternatives of the whole sub-block or of each
/// group.
template <class Form>
double guess_error(const Form& form, const IqBlock& block, int from, float t) {
  double whole[2] = {0, 0}, mixed = 0;
  for (int g = from / 8; g < (from + Form::kSubWeights) / 8; ++g) {
    double least = 1e300;
    for (int alternative = 0; alternative < Form::kAlternatives; ++alternative) {
      uint16_t entry[2];
      form.guess(g, Scalar::splat(1 / t), alternative, entry);
      float p[8], x[8];
      Scalar::store(p, form.point(entry));
      Scalar::store(x, form.target(g));
      double error = 0;
      for (int j = 0; j < 8; ++j)
        error +=
            static_cast<double>(block.v[8 * g + j]) * t * p[j] * (static_cast<double>(t) * p[j] - 2.0 * x[j]);
      whole[alternative] += error;
      least = std::min(least, error);
    }
    mixed += least;
  }
  return Form::kSets == 2 ? std::min(whole[0], whole[1]) : mixed;
}

/// Sixteen neighbours hold nearly the best point: the guesses of one trial cost little more than the best
/// points.
template <class Form>
double excess_of_trial() {
  double trial = 0, settled = 0;
  for (uint32_t seed = 0; seed < 8; ++seed) {
    const IqBlock block = random_block(100 + seed);
    Form form(block);
    for (int from = 0; from < kSuperBlock; from += Form::kSubWeights) {
      const float t = typical_scale<Scalar>(block, from, Form::kSubWeights) * Form::kTypical * 0.9f;
      double energy = 0;
      for (int j = from; j < from + Form::kSubWeights; ++j)
        energy += static_cast<double>(block.v[j]) * block.x[j] * block.x[j];
      trial += guess_error(form, block, from, t) + energy;
      float a, b;
      form.settle(from, t, a, b);
      settled += static_cast<double>(t) * t * a - 2.0 * t * b + energy;
    }
  }
  return trial / settled - 1;
}

TEST(IqNearest, TrialsMissLittle) {
  EXPECT_LT((excess_of_trial<Iq1Form<Scalar, Iq1STraits>>()), 0.03);
  EXPECT_LT((excess_of_trial<Iq1Form<Scalar, Iq1MTraits>>()), 0.03);
  EXPECT_LT((excess_of_trial<Iq2Form<Scalar, Iq2XxsTraits>>()), 0.04);
  EXPECT_LT((excess_of_trial<Iq2Form<Scalar, Iq2XsTraits>>()), 0.04);
  EXPECT_LT((excess_of_trial<Iq2Form<Scalar, Iq2STraits>>()), 0.03);
  EXPECT_LT((excess_of_trial<Iq3Form<Scalar, Iq3XxsTraits>>()), 0.06);
  EXPECT_LT((excess_of_trial<Iq3Form<Scalar, Iq3STraits>>()), 0.04);
}

}  // namespace
}  // namespace snug
