#pragma once

// Every packed block as it lies in a GGUF tensor: little-endian, no padding, consecutive along the row.
// Packed, so that a row may start at any address. Weights are numbered in row order. f16 fields hold the bits
// of an IEEE binary16; see docs/formats.md for the formulas. What comes after a block's data says where its
// codes and scales lie, again, as numbers (block_fields.hpp).

#include "quant/blocks_iq.hpp"
#include "quant/blocks_k.hpp"
#include "quant/blocks_short.hpp"
