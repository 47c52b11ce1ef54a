// snug quantize --effort max with and without second moments in the imatrix.
#include <gtest/gtest.h>

#include "cli/run_program.hpp"
#include "snug/model.hpp"
#include "imatrix/hessian_factors.hpp"
#include "support/tiny_model.hpp"

namespace snug {
namespace {

class QuantizeCli : public test::RunProgram {
 protected:
  QuantizeCli() { write_text(9, 1500); }
  test::Outcome collect(const std::string& more) {
    return snug("imatrix " + model_ + " -f text.txt --chunk 64 -q --output-weights " + more);
  }
  test::Outcome quantize(const std::string& more) {
    return snug("quantize " + model_ + " --force --json " + more);
  }
  /// What the outputs of all tensors are off by, over some of their rows.
  double curved(const std::string& file, HessianFactors& curvatures) {
    const ModelSource original = open_model(test::tiny_model()), written = open_model(scratch_ / file);
    double sum = 0;
    for (const Tensor& tensor : written.tensors()) {
      const Tensor& source = *original.find(tensor.name);
      std::vector<float> row(static_cast<size_t>(tensor.cols())), decoded(row.size());
      for (int64_t r = 0; r < tensor.rows() && tensor.format != source.format; r += 61) {
        const auto curvature = curvatures.find_row(source, r);
        EXPECT_TRUE(curvature) << tensor.name;
        find_format(source.format)->decode(source.row(r).data(), row);
        find_format(tensor.format)->decode(tensor.row(r).data(), decoded);
        sum += curved_error(row, decoded, *curvature, kAlongRow);
      }
    }
    return sum;
  }

  const std::string model_ = test::tiny_model().string();
};

TEST_F(QuantizeCli, MaxUsesTheSecondMomentsOfAFullImatrix) {
  ASSERT_EQ(collect("-o plain.gguf").exit_code, 0);
  ASSERT_EQ(collect("--full -o full.gguf").exit_code, 0);  // the spelling of before
  const Hessians moments{scratch_ / "full.gguf"};
  ASSERT_TRUE(moments.find_rows("token_embd.weight")) << "the head of this model";
  HessianFactors curvatures{moments};
  for (const std::string format : {"q3_K", "iq2_s"}) {
    SCOPED_TRACE(format);
    const std::string max = "--effort max --format " + format;
    ASSERT_EQ(quantize("--imatrix full.gguf -o normal.gguf --format " + format).exit_code, 0);
    const test::Outcome told = quantize("--imatrix plain.gguf -o max.gguf " + max);
    ASSERT_EQ(told.exit_code, 0) << told.err;
    EXPECT_NE(told.err.find("no second moments"), std::string::npos) << told.err;
    EXPECT_NE(told.err.find("snug imatrix --collect-hessians"), std::string::npos) << told.err;
    const test::Outcome fed = quantize("--imatrix full.gguf -o fed.gguf " + max);
    ASSERT_EQ(fed.exit_code, 0) << fed.err;
    EXPECT_EQ(fed.err.find("no second moments"), std::string::npos) << fed.err;
    EXPECT_EQ(std::filesystem::file_size(scratch_ / "fed.gguf"),
              std::filesystem::file_size(scratch_ / "max.gguf"));
    const double with = curved("fed.gguf", curvatures), without = curved("max.gguf", curvatures);
    EXPECT_LT(with, 0.7 * without);
    EXPECT_LT(with, 0.7 * curved("normal.gguf", curvatures));
  }
}

TEST_F(QuantizeCli, AnyThreadsWriteTheSameBytes) {
  ASSERT_EQ(collect("--collect-hessians -o full.gguf").exit_code, 0);
  for (const std::string threads : {"1", "3"})
    ASSERT_EQ(
        quantize("--imatrix full.gguf --effort max --format q2_K --threads " + threads + " -o " + threads)
            .exit_code,
        0);
  EXPECT_EQ(contents("1"), contents("3"));
}

}  // namespace
}  // namespace snug
