#define DT_NODELABEL(label) DT_##label
#define DT_dmic_dev dmic
