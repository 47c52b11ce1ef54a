#include "base/memory.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "base/events.hpp"

namespace snug {
namespace {

struct Heard : Events {
  std::string lines;
  void log(std::string_view line) override { lines += line; }
};

TEST(Memory, WhatIsLargerThanItIsTold) {
  Heard heard;
  const EventScope scope{heard};
  tell_if_larger_than_memory(1, "for every chunk");
  EXPECT_EQ(heard.lines, "");
  tell_if_larger_than_memory(std::numeric_limits<int64_t>::max(), "for every chunk");
  EXPECT_NE(heard.lines.find("from the disk again for every chunk"), std::string::npos) << heard.lines;
}

TEST(Memory, NothingMayTakeMoreThanThereIs) {
  const int64_t all = memory_for(MemoryUse::all);
  for (const MemoryUse use : {MemoryUse::context, MemoryUse::documents, MemoryUse::hessians, MemoryUse::repacked}) {
    EXPECT_GT(memory_for(use), 0);
    EXPECT_LT(memory_for(use), all + all / 10);  // what is free changes between two questions
  }
}

}  // namespace
}  // namespace snug
