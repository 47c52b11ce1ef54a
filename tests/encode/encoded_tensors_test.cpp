#include "encode/encoded_tensors.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "snug/quantize.hpp"

namespace snug {
namespace {

Encoded of_bytes(size_t bytes) {
  return {"t", find_format(FormatId::q4_0), std::vector<std::byte>(bytes), 0};
}

EncodedTensors::Key key(const std::string& tensor, bool feedback = false) {
  return {tensor, FormatId::q4_0, feedback};
}

TEST(EncodedTensors, AreFoundByTensorFormatAndFeedback) {
  EncodedTensors tensors;
  tensors.add(key("a"), of_bytes(1));
  tensors.add(key("a", true), of_bytes(2));
  EXPECT_EQ(tensors.find(key("a"))->data.size(), 1u);
  EXPECT_EQ(tensors.find(key("a", true))->data.size(), 2u);
  EXPECT_FALSE(tensors.find(key("b")));
  EXPECT_FALSE(tensors.find({"a", FormatId::q8_0, false}));
  tensors.forget_feedback();
  EXPECT_TRUE(tensors.find(key("a")));
  EXPECT_FALSE(tensors.find(key("a", true)));
}

TEST(EncodedTensors, ThoseAskedForLongestAgoGoFirst) {
  EncodedTensors tensors;
  for (const char* name : {"a", "b", "c"}) tensors.add(key(name), of_bytes(10));
  tensors.find(key("a"));
  tensors.keep_within(20);
  EXPECT_TRUE(tensors.find(key("a")));
  EXPECT_FALSE(tensors.find(key("b")));
  EXPECT_TRUE(tensors.find(key("c")));
}

TEST(EncodedTensors, WhatSomebodyHoldsStaysAndTakesNoRoom) {
  EncodedTensors tensors;
  const EncodedTensors::Held held = tensors.add(key("a"), of_bytes(1000));
  tensors.add(key("b"), of_bytes(10));
  tensors.keep_within(10);
  EXPECT_EQ(tensors.find(key("a")), held);
  EXPECT_TRUE(tensors.find(key("b")));
  tensors.keep_within(0);
  EXPECT_EQ(tensors.find(key("a")), held);
  EXPECT_FALSE(tensors.find(key("b")));
}

TEST(EncodedTensors, DecodedTheyAreTheSameNumbers) {
  constexpr int64_t kRows = 150, kCols = 64;  // more than go to a task
  std::mt19937 random{3};
  std::normal_distribution<float> normal;
  std::vector<float> weights(kRows * kCols), row(kCols);
  for (float& w : weights) w = normal(random);
  const Format& format = *find_format(FormatId::q5_1);
  Encoded tensor{"t", &format, std::vector<std::byte>(static_cast<size_t>(kRows * format.row_bytes(kCols))), 0.25};
  quantize(format, {weights.data(), kRows, kCols}, {}, Effort::normal, tensor.data);
  const Encoded plain = decoded(tensor, kCols);
  EXPECT_EQ(plain.tensor, "t");
  EXPECT_EQ(plain.format, find_format(FormatId::f32));
  EXPECT_EQ(plain.rho, 0.25);
  ASSERT_EQ(plain.data.size(), weights.size() * sizeof(float));
  for (int64_t r = 0; r < kRows; ++r) {
    format.decode(tensor.data.data() + r * format.row_bytes(kCols), row);
    EXPECT_EQ(std::memcmp(plain.data.data() + static_cast<size_t>(r * kCols) * sizeof(float), row.data(), kCols * sizeof(float)), 0)
        << "row " << r;
  }
}

}  // namespace
}  // namespace snug
