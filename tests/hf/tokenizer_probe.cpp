// What the Python scripts beside this file ask snug.
//   tokenizer_probe convert FOLDER ARCHITECTURE ROWS OUT.gguf   the tokenizer of a checkpoint folder, as GGUF
//   tokenizer_probe ids MODEL.gguf RECORDS [--special]          the ids of each record, a line each
//   tokenizer_probe text MODEL.gguf RECORDS [--special]         the same, encoded and decoded again (a JSON
//   string)
// RECORDS is a file of texts, each behind its length in bytes as a little-endian u32.
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/files/read_file.hpp"
#include "base/json_reader.hpp"
#include "hf/tokenizer/tokenizer.hpp"
#include "infer/tokenizer/tokenizer.hpp"
#include "snug/error.hpp"
#include "snug/model.hpp"
#include "support/metadata_bytes.hpp"

namespace {

using namespace snug;

nlohmann::json config_of(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  return std::filesystem::exists(file) ? parse_json(read_file(file), file.string())
                                       : nlohmann::json::object();
}

void convert(const std::string& folder, const std::string& architecture, int64_t rows,
             const std::string& out) {
  const nlohmann::json config = config_of(folder);
  std::vector<std::string> remarks;
  hf::MetadataBuilder metadata;
  metadata.set("general.architecture", architecture);
  hf::add_tokenizer(folder, {architecture, rows, &config, &config, &remarks}, metadata);
  test::gguf_of(metadata.finish(folder)).save(out);
  for (const std::string& remark : remarks) std::printf("remark: %s\n", remark.c_str());
}

std::vector<std::string> records_of(const std::string& path) {
  const std::string all = read_file(path);
  std::vector<std::string> records;
  for (size_t at = 0; at + 4 <= all.size();) {
    uint32_t length = 0;
    std::memcpy(&length, all.data() + at, 4);
    records.push_back(all.substr(at + 4, length));
    at += 4 + length;
  }
  return records;
}

void answer(const std::string& model, const std::string& records, bool special, bool decode) {
  const ModelSource source = open_model(model);
  const infer::Tokenizer tokenizer{source};
  for (const std::string& text : records_of(records)) {
    const std::vector<int32_t> ids = tokenizer.encode(text, false, special);
    std::cout << (decode ? nlohmann::json(tokenizer.decode(ids, false, true))
                               .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace)
                         : nlohmann::json(ids).dump())
              << '\n';
  }
}

int run(const std::vector<std::string>& args) {
  if (args.size() == 5 && args[0] == "convert") {
    convert(args[1], args[2], std::stoll(args[3]), args[4]);
    return 0;
  }
  const bool special = !args.empty() && args.back() == "--special";
  if (args.size() == (special ? 4u : 3u) && (args[0] == "ids" || args[0] == "text")) {
    answer(args[1], args[2], special, args[0] == "text");
    return 0;
  }
  std::cerr << "usage: see the head of tokenizer_probe.cpp\n";
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
