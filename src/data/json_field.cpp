#include "data/json_field.h"

#include <nlohmann/json.hpp>

#include "mpibert/base/error.h"

namespace mpibert {

namespace {

using nlohmann::json;

// Keeps one string of the outermost object and nothing else.
class FieldReader : public json::json_sax_t {
 public:
  FieldReader(const std::string& name, std::string& text) : name_(name), text_(text) {}
  bool is_object = false, found = false, is_string = false;
  std::string fault;

  bool null() override { return other(); }
  bool boolean(bool /*value*/) override { return other(); }
  bool number_integer(number_integer_t /*value*/) override { return other(); }
  bool number_unsigned(number_unsigned_t /*value*/) override { return other(); }
  bool number_float(number_float_t /*value*/, const string_t& /*digits*/) override { return other(); }
  bool binary(binary_t& /*value*/) override { return other(); }
  bool string(string_t& value) override {
    if (is_wanted()) {
      found = is_string = true;
      text_.swap(value);
    }
    return true;
  }
  bool key(string_t& key) override {
    here_ = depth_ == 1 && key == name_;
    return true;
  }
  bool start_object(size_t /*members*/) override {
    is_object = is_object || depth_ == 0;
    return begin();
  }
  bool start_array(size_t /*elements*/) override { return begin(); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool parse_error(size_t place, const std::string& /*token*/, const nlohmann::detail::exception& error) override {
    fault = str_cat("no JSON, at byte ", place, " of the line: ", error.what());
    return false;
  }

 private:
  bool is_wanted() const { return depth_ == 1 && here_; }
  bool other() {
    if (is_wanted()) {
      found = true;
      is_string = false;
    }
    return true;
  }
  bool begin() {
    other();
    ++depth_;
    return true;
  }
  bool end() {
    --depth_;
    here_ = false;
    return true;
  }

  const std::string& name_;
  std::string& text_;
  int depth_ = 0;
  bool here_ = false;  // the value of the member that is read
};

}  // namespace

std::string text_field_of(std::string_view line, const std::string& name, std::string& text) {
  FieldReader reader(name, text);
  json::sax_parse(line.begin(), line.end(), &reader);
  if (!reader.fault.empty()) return reader.fault;
  if (!reader.is_object) return "expected a JSON object";
  if (!reader.found) return str_cat("the object has no member '", name, "'; say which one holds the text");
  if (!reader.is_string) return str_cat("the member '", name, "' is no string");
  return {};
}

}  // namespace mpibert
