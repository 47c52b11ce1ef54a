#include "cli/cmd_codec.hpp"

#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/closest.hpp"
#include "base/files/atomic_file.hpp"
#include "base/files/mapped_file.hpp"
#include "base/files/output_guard.hpp"
#include "base/str.hpp"
#include "cli/common.hpp"
#include "recipe/format_names.hpp"
#include "snug/error.hpp"
#include "snug/quantize.hpp"

namespace snug::cli {
namespace {

struct CodecArgs {
  std::string format, effort = "normal";
  int64_t cols = 0;
  std::filesystem::path importance, input, output;
  bool force = false;

  Existing existing() const { return force ? Existing::replace : Existing::refuse; }
  void check_output() const { OutputGuard{existing()}.reads({input, importance}).writes(output).check(); }
};

const Format& format_named(const std::string& name) {
  if (const Format* format = find_format(name)) return *format;
  std::string known;
  for (const Format& format : all_formats()) known += str(known.empty() ? "" : ", ", format.name);
  throw Error{str("no format '", name, "'"), "FORMAT",
              did_you_mean(name, all_format_names(), str("known formats: ", known)), Fault::usage};
}

/// Little-endian floats, copied: a mapped file has no say in alignment.
std::vector<float> floats_of(std::span<const std::byte> bytes, const std::filesystem::path& path) {
  if (bytes.size() % sizeof(float))
    throw Error{str(bytes.size(), " bytes are no whole number of 32-bit floats"), path.string(),
                "cut it right"};
  std::vector<float> floats(bytes.size() / sizeof(float));
  if (!floats.empty()) std::memcpy(floats.data(), bytes.data(), bytes.size());
  return floats;
}

/// How many rows of row_bytes are in the file.
int64_t rows_in(size_t bytes, int64_t row_bytes, const std::filesystem::path& path) {
  if (bytes % static_cast<uint64_t>(row_bytes))
    throw Error{str(bytes, " bytes are no whole number of rows of ", row_bytes), path.string(),
                "check --cols and the format"};
  return static_cast<int64_t>(bytes / static_cast<uint64_t>(row_bytes));
}

const Format& checked_format(const CodecArgs& args) {
  const Format& format = format_named(args.format);
  if (args.cols > (int64_t{1} << 40) || !format.fits(args.cols))
    throw Error{str("a row of ", args.cols, " weights does not fit format ", format.name), "--cols",
                str("row lengths must be multiples of ", format.block_weights), Fault::usage};
  return format;
}

int run_encode(const CodecArgs& args) {
  const Format& format = checked_format(args);
  args.check_output();
  const MappedFile input{args.input};
  const int64_t rows =
      rows_in(input.bytes().size(), args.cols * static_cast<int64_t>(sizeof(float)), args.input);
  std::vector<float> importance;
  if (!args.importance.empty()) importance = floats_of(MappedFile{args.importance}.bytes(), args.importance);
  const Effort effort = args.effort == "max" ? Effort::max : Effort::normal;

  AtomicFile out{args.output, args.existing(), rows * format.row_bytes(args.cols)};
  const size_t row_bytes = static_cast<size_t>(args.cols) * sizeof(float);
  std::vector<std::byte> blocks(static_cast<size_t>(format.row_bytes(args.cols)));
  for (int64_t r = 0; r < rows; ++r) {
    const auto bytes = input.bytes().subspan(static_cast<size_t>(r) * row_bytes, row_bytes);
    const std::vector<float> row = floats_of(bytes, args.input);
    try {
      quantize(format, {row.data(), 1, args.cols}, {importance, {}}, effort, blocks);
    } catch (const Error& error) {  // quantize() saw a single row
      throw Error{error.problem(), str(args.input.string(), ", row ", r, ": ", error.where()),
                  error.remedy()};
    }
    out.write(blocks);
  }
  out.commit();
  return 0;
}

int run_decode(const CodecArgs& args) {
  const Format& format = checked_format(args);
  args.check_output();
  const MappedFile input{args.input};
  const auto row_bytes = static_cast<size_t>(format.row_bytes(args.cols));
  const int64_t rows = rows_in(input.bytes().size(), format.row_bytes(args.cols), args.input);
  AtomicFile out{args.output, args.existing(), rows * args.cols * static_cast<int64_t>(sizeof(float))};
  std::vector<float> row(static_cast<size_t>(args.cols));
  for (int64_t r = 0; r < rows; ++r) {
    dequantize(format, input.bytes().subspan(static_cast<size_t>(r) * row_bytes, row_bytes),
               {row.data(), 1, args.cols});
    out.write(std::as_bytes(std::span<const float>{row}));
  }
  out.commit();
  return 0;
}

void add_shared(CLI::App& command, CodecArgs& args) {
  command.add_option("format", args.format, "block format, such as q4_K")->required();
  command.add_option("input", args.input, "raw little-endian file")->required()->check(CLI::ExistingFile);
  command.add_option("output", args.output, "file to write")->required();
  command.add_option("--cols", args.cols, "weights in a row")->required()->check(CLI::Range(int64_t{1}, int64_t{1} << 40));
  command.add_flag("--force", args.force, "replace an existing output");
}

}  // namespace

void add_codec(CLI::App& app, int& exit_code) {
  auto args = std::make_shared<CodecArgs>();
  auto* codec = app.add_subcommand("codec", "encode or decode one matrix of floats in a raw file");
  codec->require_subcommand(1);
  codec->footer("Example:\n  snug codec encode q4_K rows.f32 rows.q4_K --cols 4096");

  auto* encode = codec->add_subcommand("encode", "32-bit floats into blocks");
  add_shared(*encode, *args);
  encode
      ->add_option("--importance", args->importance, "mean squared activation of each column, 32-bit floats")
      ->type_name("FILE")
      ->check(CLI::ExistingFile);
  encode->add_option("--effort", args->effort, "how hard to search")->check(CLI::IsMember({"normal", "max"}));
  encode->footer("Example:\n  snug codec encode q4_K rows.f32 rows.q4_K --cols 4096");
  encode->callback([args, &exit_code] { exit_code = guarded([&] { return run_encode(*args); }); });

  auto* decode = codec->add_subcommand("decode", "blocks into 32-bit floats");
  add_shared(*decode, *args);
  decode->footer("Example:\n  snug codec decode q4_K rows.q4_K rows.f32 --cols 4096");
  decode->callback([args, &exit_code] { exit_code = guarded([&] { return run_decode(*args); }); });
}

}  // namespace snug::cli
