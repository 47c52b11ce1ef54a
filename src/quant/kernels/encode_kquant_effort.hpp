#pragma once

// How far the searches for the K formats go. The figures are tuned on rows of trained models.

namespace snug {

constexpr int kMaxStarts = 32;

/// Values first, first + step, ...
struct Steps {
  float first, step;
  int count;
  constexpr float operator[](int i) const { return first + step * static_cast<float>(i); }
};

/// Search for y = d sc q - dmin mn.
struct AffineEffort {
  Steps low;       // where a sub-block's least weight may fall, in codes above 0
  Steps high;      // and its largest, in codes above the last; an even count
  int fit_rounds;  // least squares and new codes, in turn
  Steps d;         // what the largest scale, or minimum, may become, in steps above the last; either way
  int starts;      // pairs (d, dmin) looked at with new codes; at most kMaxStarts
  int keep;        // of them, how many go through the rounds
  int rounds;      // over the eight neighbours of every (sc, mn), then d and dmin by least squares
};

/// Search for y = d S q.
struct SymmetricEffort {
  Steps extreme;   // where a sub-block's extreme weight may fall, in codes beyond the last; an even count
  int fit_rounds;  // least squares and new codes, in turn
  Steps d;         // what the largest scale may become, in steps above the last; for either sign of d
  int starts;      // values of d tried on true errors; at most kMaxStarts
  int reach;       // of that trial: S - 3 reach - 1 .. S + 3 reach + 1
  int keep;        // of them, how many go through the rounds
  int rounds;      // over the two neighbours of every S, then d by least squares
};

template <class Effort>
struct Efforts {
  Effort normal, max;
};

template <int kCodes>
constexpr Efforts<AffineEffort> kAffineEffort{};
template <>
inline constexpr Efforts<AffineEffort> kAffineEffort<3>{
    {{-0.67f, 0.40f, 3}, {-0.25f, 0.38f, 6}, 0, {-1.77f, 0.59f, 5}, 6, 2, 13},
    {{-1.32f, 0.39f, 5}, {-0.41f, 0.45f, 6}, 1, {-2.86f, 0.48f, 8}, 29, 3, 16}};
template <>
inline constexpr Efforts<AffineEffort> kAffineEffort<15>{
    {{-0.73f, 0.49f, 4}, {-1.09f, 0.40f, 6}, 1, {-0.97f, 0.84f, 2}, 5, 2, 11},
    {{-1.12f, 0.37f, 9}, {-1.36f, 0.22f, 14}, 1, {-3.07f, 0.51f, 7}, 13, 3, 11}};
template <>
inline constexpr Efforts<AffineEffort> kAffineEffort<31>{
    {{-0.43f, 0.67f, 6}, {-1.22f, 0.40f, 6}, 1, {-1.96f, 0.47f, 5}, 8, 1, 8},
    {{-0.69f, 0.39f, 18}, {-1.28f, 0.20f, 12}, 1, {-4.82f, 0.59f, 10}, 16, 10, 7}};

template <int kCodes>
constexpr Efforts<SymmetricEffort> kSymmetricEffort{};
template <>
inline constexpr Efforts<SymmetricEffort> kSymmetricEffort<4>{
    {{-0.74f, 0.33f, 10}, 1, {-2.42f, 0.27f, 11}, 1, 1, 1, 1},
    {{-0.75f, 0.33f, 10}, 1, {-2.00f, 0.40f, 36}, 12, 1, 3, 8}};
template <>
inline constexpr Efforts<SymmetricEffort> kSymmetricEffort<32>{
    {{-2.56f, 0.02f, 2}, 0, {-2.14f, 0.05f, 3}, 1, 4, 1, 6},
    {{-2.50f, 0.10f, 4}, 1, {-4.00f, 0.25f, 50}, 8, 3, 3, 8}};

}  // namespace snug
