#pragma once

#include "quant/kernels/kernels.hpp"
#include "snug/format.hpp"

namespace snug::test {

/// Every block format with its member of Kernels: how tests reach one instruction set's code.
struct BlockCodec {
  FormatId id;
  Codec Kernels::*codec;
};
constexpr BlockCodec kCodecs[] = {
    {FormatId::f32, &Kernels::f32},         {FormatId::f16, &Kernels::f16},
    {FormatId::bf16, &Kernels::bf16},       {FormatId::q4_0, &Kernels::q4_0},
    {FormatId::q4_1, &Kernels::q4_1},       {FormatId::q5_0, &Kernels::q5_0},
    {FormatId::q5_1, &Kernels::q5_1},       {FormatId::q8_0, &Kernels::q8_0},
    {FormatId::q1_0, &Kernels::q1_0},       {FormatId::q2_0, &Kernels::q2_0},
    {FormatId::q2_K, &Kernels::q2_K},       {FormatId::q3_K, &Kernels::q3_K},
    {FormatId::q4_K, &Kernels::q4_K},       {FormatId::q5_K, &Kernels::q5_K},
    {FormatId::q6_K, &Kernels::q6_K},       {FormatId::tq1_0, &Kernels::tq1_0},
    {FormatId::tq2_0, &Kernels::tq2_0},     {FormatId::iq4_nl, &Kernels::iq4_nl},
    {FormatId::iq4_xs, &Kernels::iq4_xs},   {FormatId::mxfp4, &Kernels::mxfp4},
    {FormatId::nvfp4, &Kernels::nvfp4},     {FormatId::iq1_s, &Kernels::iq1_s},
    {FormatId::iq1_m, &Kernels::iq1_m},     {FormatId::iq2_xxs, &Kernels::iq2_xxs},
    {FormatId::iq2_xs, &Kernels::iq2_xs},   {FormatId::iq2_s, &Kernels::iq2_s},
    {FormatId::iq3_xxs, &Kernels::iq3_xxs}, {FormatId::iq3_s, &Kernels::iq3_s},
};

}  // namespace snug::test
