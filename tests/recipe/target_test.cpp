#include "recipe/target.hpp"

#include <gtest/gtest.h>

#include "snug/error.hpp"

namespace snug {
namespace {

TEST(Target, LlamaLoadsEveryFormatThatWeEncode) {
  for (const Format& format : formats()) EXPECT_TRUE(find_target("llama.cpp").loads(format.id)) << format.name;
}

TEST(Target, NoTargetListsWhatWeCannotEncodeOrItsFilesCannotHold) {
  for (const Target& target : targets())
    for (const TargetFormat& listed : target.formats) {
      const Format* format = find_format(listed.id);
      ASSERT_NE(format, nullptr) << target.name << " " << listed.name();
      EXPECT_EQ(format->family, target.family) << target.name << " " << listed.name();
    }
}

/// Ids 34, 35, 40 and 42 are not in its list of types; its 41, of another name, is q1_0.
TEST(Target, IkLlamaLacksFour) {
  const Target& ik = find_target("ik_llama.cpp");
  for (const Format& format : formats()) {
    const bool lacks = format.name == "tq1_0" || format.name == "tq2_0" || format.name == "nvfp4" ||
                       format.name == "q2_0";
    EXPECT_EQ(ik.loads(format.id), !lacks) << format.name;
  }
  EXPECT_EQ(ik.find(FormatId::q1_0)->name(), "q1_0_g128");
  EXPECT_EQ(ik.find(FormatId::q4_K)->name(), "q4_K");
}

TEST(Target, AnUnknownNameIsRefusedWithThoseKnown) {
  try {
    find_target("exl3");
    FAIL();
  } catch (const Error& error) {
    const std::string text = error.what();
    for (const std::string_view name : target_names()) EXPECT_NE(text.find(name), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace snug
