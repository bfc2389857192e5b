/* A program that has the plugin's code in itself. */
int run_plugin(const char *how);

int main(int count, char **arguments)
{
  return count == 2 ? run_plugin(arguments[1]) : 2;
}
