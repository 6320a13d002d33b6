#include "tasks/row_reader.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "mpibert/base/error.h"
#include "mpibert/base/options.h"
#include "mpibert/base/parse_number.h"

namespace mpibert {

namespace {

using nlohmann::json;

bool is_number(std::string_view name) { return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos; }

size_t column_number(const std::string& name) {
  const std::optional<size_t> number = parse_number<size_t>(name);
  MPIBERT_CHECK(number && *number > 0, kInvalidArgument, "column ", name, ": columns are numbered from 1");
  return *number - 1;
}

std::string quoted_list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "'" : ", '") + name + "'";
  return text.substr(0, 400);
}

std::string missing(const std::string& what, const std::string& name, const std::vector<std::string>& known) {
  const std::string near = nearest_name(name, known);
  return str_cat(what, " '", name, "'", near.empty() ? "" : str_cat(" (did you mean '", near, "'?)"), "; it has ", quoted_list(known));
}

}  // namespace

std::vector<std::string> split_at_tabs(std::string_view line) {
  std::vector<std::string> cells;
  for (;;) {
    const size_t tab = line.find('\t');
    cells.emplace_back(line.substr(0, tab));
    if (tab == std::string_view::npos) return cells;
    line.remove_prefix(tab + 1);
  }
}

RowReader::RowReader(const std::filesystem::path& path, std::vector<Column> wanted, std::vector<std::string> names)
    : lines_(path), wanted_(std::move(wanted)) {
  const std::filesystem::path name = path.extension() == ".gz" ? path.stem() : path;
  form_ = name.extension() == ".csv" ? Form::kCsv : Form::kTabs;
  MPIBERT_CHECK(next_record(), kCorrupt, path.string(), " is empty");
  if (form_ == Form::kTabs && record_.starts_with("{")) form_ = Form::kJson;
  if (form_ == Form::kJson) {
    first_is_data_ = true;
    for (const Column& column : wanted_)
      MPIBERT_CHECK(!is_number(column.name), kInvalidArgument, path.string(), " holds JSON objects, whose members have names; column ",
                    column.name, " is a number");
  } else {
    find_columns(names);
  }
}

void RowReader::find_columns(const std::vector<std::string>& names) {
  const bool by_number = std::any_of(wanted_.begin(), wanted_.end(), [](const Column& column) { return is_number(column.name); });
  const bool has_header = !by_number && (names.empty() || std::find(cells_.begin(), cells_.end(), wanted_.front().name) != cells_.end());
  const std::vector<std::string>& header = has_header || names.empty() ? cells_ : names;
  first_is_data_ = !has_header;
  width_ = header.size();
  width_from_ = has_header ? "the header" : by_number ? "the first row" : "all rows of this task";
  for (const Column& column : wanted_) {
    MPIBERT_CHECK(is_number(column.name) == by_number, kInvalidArgument, "column '", column.name,
                  "': name all columns, or give the numbers of all in a table without a header");
    const size_t place =
        by_number ? column_number(column.name) : static_cast<size_t>(std::find(header.begin(), header.end(), column.name) - header.begin());
    if (place < width_) {
      places_.emplace_back(place);
      continue;
    }
    MPIBERT_CHECK(column.may_be_missing, kCorrupt, where(), ": ",
                  by_number ? str_cat("no column ", column.name, "; the first row has ", width_)
                            : missing("the header has no column", column.name, header));
    places_.emplace_back(std::nullopt);
  }
}

bool RowReader::next_record() {
  do {
    if (!lines_.next(record_)) return false;
  } while (form_ == Form::kJson ? is_blank(record_) : record_.empty());
  number_ = lines_.number();
  if (form_ == Form::kCsv) read_csv_record();
  if (form_ == Form::kTabs) cells_ = split_at_tabs(record_);
  return true;
}

// One record that begins with record_, by the grammar of RFC 4180; lines are added while a quoted field is open. Quotes inside a field that
// does not begin with one are literal, as Python's csv reads them.
void RowReader::read_csv_record() {
  cells_.assign(1, "");
  bool quoted = false, closed = false;
  for (size_t at = 0;; ++at) {
    if (at == record_.size()) {
      if (!quoted) return;
      std::string line;
      MPIBERT_CHECK(lines_.next(line), kCorrupt, where(), ": a quote is opened in column ", cells_.size(), " and never closed");
      record_ = std::move(line);
      cells_.back() += '\n';
      at = static_cast<size_t>(-1);
      continue;
    }
    const char c = record_[at];
    if (quoted) {
      if (c != '"') {
        cells_.back() += c;
      } else if (record_[at + 1] == '"') {  // a string ends in \0, which is no quote
        cells_.back() += '"';
        ++at;
      } else {
        quoted = false;
        closed = true;
      }
    } else if (c == ',') {
      cells_.emplace_back();
      closed = false;
    } else {
      MPIBERT_CHECK(!closed, kCorrupt, where(), ": column ", cells_.size(),
                    " goes on after its closing quote; a quote inside a quoted field is written twice");
      if (c == '"' && cells_.back().empty() && (at == 0 || record_[at - 1] == ',')) quoted = true;
      else cells_.back() += c;
    }
  }
}

bool RowReader::next(std::vector<std::optional<std::string>>& fields, int64_t* ragged) {
  for (;;) {
    if (!first_is_data_ && !next_record()) return false;
    first_is_data_ = false;
    if (form_ == Form::kJson) {
      read_members(fields);
      return true;
    }
    if (cells_.size() == width_) break;
    MPIBERT_CHECK(ragged, kCorrupt, where(), ": ", cells_.size(), " columns, expected ", width_, " as in ", width_from_);
    ++*ragged;
  }
  fields.clear();
  for (const std::optional<size_t>& place : places_) fields.push_back(place ? std::optional(cells_[*place]) : std::nullopt);
  return true;
}

void RowReader::read_members(std::vector<std::optional<std::string>>& fields) const {
  fields.clear();
  const json object = json::parse(record_, nullptr, false);
  MPIBERT_CHECK(object.is_object(), kCorrupt, where(), ": expected one JSON object on a line, found '", record_.substr(0, 100), "'");
  for (const Column& column : wanted_) {
    const auto member = object.find(column.name);
    if (member == object.end() && column.may_be_missing) {
      fields.emplace_back();
      continue;
    }
    if (member == object.end()) {
      std::vector<std::string> known;
      for (const auto& item : object.items()) known.push_back(item.key());
      throw Error(ErrorKind::kCorrupt, str_cat(where(), ": ", missing("the object has no member", column.name, known)));
    }
    const bool is_list = column.may_be_list && member->is_array();
    const auto add = [&](const json& value) {
      MPIBERT_CHECK(value.is_string() || value.is_number() || value.is_boolean(), kCorrupt, where(), ": member '", column.name, "' ",
                    is_list ? "has " : "is ", value.dump().substr(0, 100), ", expected a text or a number");
      fields.emplace_back(value.is_string() ? value.get<std::string>() : value.dump());
    };
    if (is_list) std::for_each(member->begin(), member->end(), add);
    else add(*member);
  }
}

std::string RowReader::where() const { return str_cat(lines_.path().string(), ":", number_); }

}  // namespace mpibert
