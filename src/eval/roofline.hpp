#pragma once

#include <cstdint>

#include "infer/session.hpp"

namespace snug::infer {

/// What a model makes the machine do.
struct Work {
  int64_t decode_bytes = 0;       // of weights read for one token; of experts the share that is used
  int64_t prompt_operations = 0;  // multiplications and additions for one token, the head left out
};
Work work_of(const Model& model);

/// Seconds to process `tokens` tokens at once from an empty context, logits of the last one included.
double time_prompt(Session& session, int64_t tokens);
/// Seconds to process `tokens` tokens one after the other, from an empty context.
double time_decode(Session& session, int64_t tokens);

/// What the machine could do at best, on threads() threads: plain loops over memory and registers.
double read_bytes_per_second();
double integer_operations_per_second();  // 16-bit multiply-add, as the fast products use it
double real_operations_per_second();     // f32 multiply-add

}  // namespace snug::infer
