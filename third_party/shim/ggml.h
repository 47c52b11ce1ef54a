// What third_party/llama.cpp/common/json.cpp takes from ggml: the name of an assertion.
#pragma once

#include <cassert>

#define GGML_ASSERT(condition) assert(condition)
