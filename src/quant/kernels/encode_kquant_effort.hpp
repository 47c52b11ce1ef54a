#pragma once

// How far the searches for the K formats go. The figures are tuned on trained models' rows: see bench/.

namespace snug {

constexpr int kMaxStarts = 16;

/// Search for y = d sc q - dmin mn.
struct AffineEffort {
  int shrinks;  // ranges fitted to the codes: 2 shrinks + 1, `shrink` codes apart
  float shrink;
  int shifts;  // offsets of each: 2 shifts + 1, `shift` codes apart
  float shift;
  int fit_rounds;  // least squares and new codes, in turn
  int d_steps;     // candidates of d, and for each of dmin; each asks `d_step` more of the largest scale
  float d_step;
  int starts;   // pairs (d, dmin) refined; at most kMaxStarts
  int keep;     // of them, how many go past the first round
  int reach;    // neighbours of sc tried in a round, each side
  int rounds;   // of new sc with the mn that suits, then d and dmin by least squares
  int polish;   // rounds over the eight neighbours of every (sc, mn)
  bool mirror;  // also search for -x: codes then count down from a maximum
};

/// Search for y = d S q.
struct SymmetricEffort {
  int ranges;  // ranges fitted to the codes: 2 ranges + 1, `range` codes apart, for either sign
  float range;
  int fit_rounds;  // least squares and new codes, in turn
  int d_steps;     // candidates of d for either sign; each asks `d_step` more of the largest scale
  float d_step;
  int starts;  // values of d refined; at most kMaxStarts
  int keep;    // of them, how many go past the first round
  int reach;   // neighbours of S tried in a round, each side
  int rounds;  // of new S, then d by least squares
};

struct KEfforts {
  template <class Effort>
  struct Pair {
    Effort normal, max;
  };
};

template <int kCodes>
constexpr KEfforts::Pair<AffineEffort> kAffineEffort{};
template <>
inline constexpr KEfforts::Pair<AffineEffort> kAffineEffort<3>{
    {4, 0.2f, 1, 0.3f, 2, 24, 0.10f, 4, 1, 1, 3, 1, false},
    {8, 0.1f, 1, 0.3f, 4, 32, 0.10f, 12, 4, 2, 6, 4, true}};
template <>
inline constexpr KEfforts::Pair<AffineEffort> kAffineEffort<15>{
    {4, 0.2f, 1, 0.3f, 2, 24, 0.4f, 4, 1, 1, 3, 1, false},
    {8, 0.1f, 1, 0.3f, 4, 32, 0.4f, 12, 4, 2, 6, 4, true}};
template <>
inline constexpr KEfforts::Pair<AffineEffort> kAffineEffort<31>{
    {4, 0.2f, 1, 0.3f, 2, 24, 0.4f, 4, 1, 1, 3, 1, false},
    {8, 0.1f, 1, 0.3f, 4, 32, 0.4f, 12, 4, 2, 6, 4, true}};

template <int kCodes>
constexpr KEfforts::Pair<SymmetricEffort> kSymmetricEffort{};
template <>
inline constexpr KEfforts::Pair<SymmetricEffort> kSymmetricEffort<4>{{9, 0.2f, 2, 8, 0.2f, 1, 1, 1, 3},
                                                                     {18, 0.1f, 4, 24, 0.2f, 12, 4, 3, 8}};
template <>
inline constexpr KEfforts::Pair<SymmetricEffort> kSymmetricEffort<32>{{4, 0.2f, 2, 8, 0.2f, 1, 1, 1, 3},
                                                                      {18, 0.1f, 4, 24, 0.2f, 12, 4, 3, 8}};

}  // namespace snug
