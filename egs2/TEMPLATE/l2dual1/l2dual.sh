#!/usr/bin/env bash
# The twelve stages of an l2dual recipe. A recipe's run.sh calls this from its own directory.
# shellcheck source-path=SCRIPTDIR disable=SC2154,SC2329  # the variables come from l2dual.recipe.settings
set -euo pipefail
shopt -s nullglob

settings() { # settings start|prepared OPTION...: set the variables
    local assignments
    assignments=$(python -m l2dual.recipe.settings "$@")
    eval "${assignments}"
}

claim() { # claim DIR: one run at a time; held until this process and all that it has started end
    mkdir -p "$1"
    command -v flock > /dev/null || return 0
    exec {claimed}<> "$1/.run"
    flock --nonblock --conflict-exit-code 10 "${claimed}" || (($? != 10)) || {
        echo "l2dual: error: another run uses $1: $(< "$1/.run"), or a process that it started." \
            "Wait for it, stop it, or choose another --study" >&2
        exit 1
    }
    echo "process $$ on ${HOSTNAME} since $(date '+%F %T') (${L2DUAL_COMMAND})" > "$1/.run"
}

stage() { # stage NUMBER TITLE: whether it is to run
    ((stage <= $1 && $1 <= stop_stage)) && [[ " ${skip_stages[*]} " != *" $1 "* ]] || return 1
    number=$1
    echo "=== ${language}, stage $1: $2 ($(date +%H:%M:%S))"
}

job() { jobs+=("$#" "$@"); } # job OUT INPUT... -- COMMAND...: COMMAND makes OUT, which it calls @OUT@

launch() { # launch NAME LAUNCHER [OPTION...]: run the jobs that are not up to date, logs in LOG/NAME.*
    ((${#jobs[@]})) || return 0
    L2DUAL_PARENT=$$ python -m l2dual.recipe.jobs "${log}" "$@" < <(printf '%s\0' "${jobs[@]}")
    jobs=()
}

tell() { # tell NAME: what the last jobs of that name printed
    cat /dev/null "${log}/$1".*.log | grep -Ev '^(#|progress:|Failed to import Flash)' || true
}

ended() { # ended STATUS: where the recipe failed or was stopped, and how it goes on
    (($1)) && [[ -n ${number} ]] || return 0
    local how=failed remedy="Fix the error, then run" again=${L2DUAL_COMMAND} from=${number} option without=(stage)
    case $1 in
        10[1-9] | 110) remedy="Run" from=$(($1 - 100)) ;; # l2dual.recipe.jobs: an input of that stage is missing
        129 | 130 | 143) how="was stopped" remedy="To go on, run" ;;
    esac
    ((from > 8)) || without+=(test_data) # which is for trained models
    for option in "${without[@]}"; do
        while [[ ${again} =~ ^(.*)\ --${option}[\ =](\\.|[^\ ])+(.*)$ ]]; do again=${BASH_REMATCH[1]}${BASH_REMATCH[3]}; done
    done
    echo "l2dual: stage ${number} ${how}. Finished work is kept. ${remedy} ${backend}${again} --stage ${from}" >&2
    ((from != 8 || number != 8)) || echo "l2dual: or resume one training alone by its ${exp}/RUN/run.sh" >&2
}

backend=${cmd_backend:+cmd_backend=${cmd_backend} } # if the user gave one

set -a
. ./path.sh
. ./cmd.sh
. ./db.sh
set +a
jobs=() number='' L2DUAL_COMMAND=${L2DUAL_COMMAND:-./run.sh} code=${L2DUAL_ROOT}/l2dual
cores=${L2DUAL_CORES:-} # which trainings share with another recipe's; short jobs do not wait for them
unset L2DUAL_CORES

{ # read as a whole before it runs, so that this file may be edited meanwhile
    settings start "$@"
    claim "${exp}"
    trap 'ended $?' EXIT
    echo "${said}"

    if stage 1 "Prepare data"; then # a corpus -> data/TAG/{train,valid,test}
        job "${data}" "${prepare_inputs[@]}" -- local/data.sh "${prepare[@]}" --nj "${nj}" --out @OUT@
        launch prepare "${train_cmd} --num_threads ${nj}"
        tell prepare
        settings prepared "$@" # what it has: splits and texts
    fi

    if stage 2 "Perturb speed"; then # data/TAG/train -> data/TAG_sp.../train_sp
        if [[ -z ${perturbed} ]]; then echo "skipped: no --speed_factors, or no training data"; else
            job "${perturbed}/train_sp" "${data}" -- \
                python -m l2dual.bin.perturb_speed --data "${data}/train" --factors "${speed_factors}" --out @OUT@
            launch perturb_speed "${train_cmd}"
        fi
    fi

    if stage 3 "Format audio"; then # data/TAG -> dump/TAG/formatted/{train,valid,test}: one rate, one format
        for split in "${splits[@]}"; do
            source=${data}/${split} inputs=("${data}")
            if [[ ${split} == train && -n ${perturbed} ]]; then source=${perturbed}/train_sp inputs=("${source}"); fi
            if [[ ${corpus} != simulated ]]; then inputs+=("recordings:${source}"); fi # its own are no inputs
            job "${formatted}/${split}" "${inputs[@]}" -- \
                python -m l2dual.bin.format_audio --data "${source}" --format "${audio_format}" --fs "${fs}" \
                "${pipes[@]}" --nj "${nj}" --out @OUT@
        done
        launch format_audio "${train_cmd} --num_threads ${nj} --max_jobs 1"
        tell format_audio | grep '^left out: ' || true # recordings that can't be used
    fi

    if stage 4 "Filter"; then # dump/TAG/formatted -> dump/TAG/{train,valid,test}: what was dropped and why
        for split in "${splits[@]}"; do
            job "${dump}/${split}" "${formatted}/${split}" -- \
                python -m l2dual.bin.filter --data "${formatted}/${split}" --split "${split}" \
                --min_seconds "${min_seconds}" --max_seconds "${max_seconds}" "${frames[@]}" "${left_out[@]}" --out @OUT@
        done
        launch filter "${train_cmd}" --ignore train_config # TAG says how its encoder shortens speech
        tell filter
    fi

    if stage 5 "Make token lists"; then # dump/TAG/train -> dump/TAG/tokens/OUTPUT_TYPE, with which other texts are compared
        for output in "${texts[@]}"; do
            if [[ ${joint} == true ]]; then lists=("${texts[@]}"); else lists=("${output}"); fi
            others=()
            for split in "${splits[@]}"; do
                if [[ ${split} != train ]]; then others+=("${lists[@]/#/--${split}=${dump}/${split}/text.}"); fi
            done
            job "${tokens[${output}]}" "${dump}/train" -- \
                python -m l2dual.bin.token_list "${lists[@]/#/--text=${dump}/train/text.}" "${others[@]}" \
                --token_type "${token_types[${output}]}" --nbpe "${nbpe}" "${whisper[@]}" --out @OUT@
            if [[ ${joint} == true ]]; then break; fi
        done
        launch token_list "${train_cmd}"
        tell token_list
    fi

    if stage 6 "Measure divergence"; then # dump/TAG -> EXP/divergence.json
        job "${exp}/divergence.json" "${dump}"/{train,valid,test} "${code}/data/divergence.py" -- \
            python -m l2dual.bin.divergence --data="${dump}"/{train,valid,test} --out @OUT@
        launch divergence "${train_cmd}"
        tell divergence
    fi

    if stage 7 "Collect statistics"; then      # dump/TAG -> EXP/stats: lengths, mean and variance of the features
        for split in "${cached_splits[@]}"; do # dump/TAG -> dump/TAG/cached_NAME: states of a front-end
            job "${feats}/${split}" "${dump}/${split}" "listing:${weights}" -- \
                python -m l2dual.bin.cache_features --frontend_conf "${frontend_conf}" \
                --data "${dump}/${split}" --nj "${nj}" --ngpu "${ngpu}" --out @OUT@
        done
        launch cache_features "${cuda_cmd} --gpu ${ngpu} --num_threads ${nj} --max_jobs 1"
        job "${exp}/stats" "${feats}"/{train,valid} "${train_config}" -- \
            python -m l2dual.bin.collect_stats --train_config "${train_config}" --data "${feats}" --out @OUT@
        launch collect_stats "${train_cmd} --num_threads ${num_threads}"
    fi

    if stage 8 "Train"; then # dump/TAG, token lists, EXP/stats -> EXP/RUN, one for each system and seed; EXP/RUN/rater
        options=(--ngpu "${ngpu}") launcher="${cuda_cmd} --gpu ${ngpu} --num_threads ${num_threads}"
        if ((num_nodes > 1)); then # each run.sh submits its training itself, by ESPnet's launcher
            options=(--num_nodes "${num_nodes}" "${options[@]}") launcher="local.py --max_jobs $((${#runs[@]} + ${#folds[@]}))"
        fi
        lists=() types=()
        for output in "${texts[@]}"; do
            lists+=("${tokens[${output}]}")
            types+=("--${output}_tokens" "${tokens[${output}]}" "--${output}_token_type" "${token_types[${output}]}")
        done
        for run in "${runs[@]}"; do
            system=$(basename "${run%.seed*}")
            job "${run}" "${train_config}" "${system_files[${system}]}" "${feats}"/{train,valid} "${exp}/stats" \
                "${lists[@]}" -- python -m l2dual.bin.configure --train_config "${train_config}" \
                --train_args="${train_args}" --system "${system_files[${system}]}" --seed "${run##*.seed}" \
                --data "${feats}" --stats "${exp}/stats" "${types[@]}" "${losses[@]}" --num_threads "${num_threads}" --out @OUT@
        done
        launch configure "${train_cmd}" --set_aside
        for fold in "${folds[@]}"; do # each without a part of the speakers, for raters; the same for all systems of a seed
            part=${fold##*/fold} run=$(printf '%s\n' "${rated[@]}" | grep -m 1 "\.seed${fold##*.seed}\$")
            job "${fold}" "${train_config}" "${feats}"/{train,valid} "${exp}/stats" "${lists[@]}" -- \
                python -m l2dual.bin.fold --exp "${run}" --data "${feats}" --part "${part%%.*}" --parts "${rater_folds}" \
                --num_threads "${num_threads}" --out @OUT@
        done
        launch fold "${train_cmd}" --set_aside --ignore exp
        for run in "${runs[@]}" "${folds[@]}"; do job "${run}/trained" "${run}" -- source "${run}/run.sh" "${options[@]}"; done
        L2DUAL_CORES=${cores} launch train "${launcher}" --costs "${costs[*]} ${fold_costs[*]}"
        for run in "${halves[@]}"; do
            job "${run}/half/trained" "${run}/trained" -- source "${run}/run.sh" "${options[@]}" --half true
        done
        L2DUAL_CORES=${cores} launch train_half "${launcher}" --costs "${costs[*]}"
        for run in "${rated[@]}"; do
            own=()
            for fold in "${folds[@]}"; do if [[ ${fold##*.seed} == "${run##*.seed}" ]]; then own+=("${fold}"); fi; done
            job "${run}/rater" "${run}/trained" "${own[@]/%//trained}" "${feats}"/{train,valid,test} \
                "${code}"/inference/{clues,folds,pronunciation,rater,rater_making,rater_training}.py -- \
                python -m l2dual.bin.rate --exp "${run}" --data "${feats}" --folds "${own[@]}" --out @OUT@
        done
        launch rate "${train_cmd} --num_threads ${num_threads}"
    fi

    if stage 9 "Decode"; then # EXP/RUN, dump/TAG/SPLIT -> EXP/RUN/DECODE/SPLIT/text.OUTPUT; SPLIT is test
        for run in "${runs[@]}"; do
            for budget in "${budgets[@]}"; do
                if [[ ${budget} == half ]]; then training=${run}/half; else training=${run}; fi
                asked=()
                if [[ " ${guided[*]} " == *" ${training} "* ]]; then asked=("${run}/rater"); fi # which has a say in the search
                job "${run}/${decoded[${budget}]}/${test_split}" "${training}/trained" "${asked[@]}" "${test_feats}" "${decode_config}" -- \
                    python -m l2dual.bin.decode --exp "${training}" --data "${test_feats}" \
                    --config "${decode_config}" --ngpu "${decode_gpu}" --out @OUT@
            done
        done
        launch decode "${decode_cmd} --gpu ${decode_gpu} --num_threads ${num_threads} ${decode_jobs[*]}"
    fi

    if stage 10 "Score"; then # EXP/RUN/DECODE/SPLIT -> EXP/RUN/DECODE/score, EXP/results.json, EXP/agreement.json
        for budget in "${budgets[@]}"; do
            for run in "${runs[@]}"; do
                job "${run}/${decoded[${budget}]}/score" "${run}/${decoded[${budget}]}/${test_split}" "${test_set}" \
                    "${code}"/{scoring/{score,crosstalk,mispronunciation},text/units,data/{divergence,datadir}}.py -- \
                    python -m l2dual.bin.score --data "${test_set}" --decode "${run}/${decoded[${budget}]}/${test_split}" \
                    --run "${run}/run.yaml" --decode_config "${decode_config}" --out @OUT@
            done
        done
        launch score "${decode_cmd}"
        for budget in "${budgets[@]}"; do
            scores=("${runs[@]/%//${decoded[${budget}]}/score}") also=()
            for score in "${exp}"/*.seed*[0-9]/"${decoded[${budget}]}"/score; do # of earlier calls
                if [[ " ${scores[*]} " != *" ${score} "* ]]; then also+=("${score}"); fi
            done
            job "${results}/results${suffixes[${budget}]}.json" "${scores[@]}" "${also[@]}" "${test_set}" \
                "${code}"/{scoring/{outcomes,results,stats},systems}.py -- \
                python -m l2dual.bin.results "${scores[@]}" --data "${test_set}" --also "${also[@]}" --out @OUT@
            name=results${results#"${exp}"}${suffixes[${budget}]} # each results file has its own log
            launch "${name//\//_}" "${decode_cmd}"
            tell "${name//\//_}"
        done
        if ((${#rated[@]})); then
            mapfile -t raters < <(printf '%s\n' "${rated[@]/%//rater}" "${exp}"/*.seed*[0-9]/rater | sort -u) # also of earlier calls
            job "${exp}/agreement.json" "${raters[@]}" "${test_set}" "${code}/scoring/agreement.py" -- \
                python -m l2dual.bin.agreement "${raters[@]}" --data "${test_set}" --out @OUT@
            launch agreement "${decode_cmd}"
            tell agreement
        fi
        if [[ ${baselines} == true ]]; then
            budget=half
            if [[ " ${budgets[*]} " == *" whole "* ]]; then budget=whole; fi
            if ((zero_shot)); then # EXP/zero_shot: it goes on where it was stopped
                job "${results}/zero_shot/done" "${test_set}" "listing:${zero_shot_weights}" "${code}/models/zero_shot.py" -- \
                    python -m l2dual.bin.zero_shot --path "${zero_shot_weights}" --data "${test_set}" --utts "${zero_shot}" \
                    --out "${results}/zero_shot"
                launch zero_shot "${decode_cmd} --num_threads ${num_threads}"
            fi
            decodings=("${exp}"/*.seed*[0-9]/"${decoded[${budget}]}/${test_split}") # with those of earlier calls
            baseline=("${results}"/zero_shot/*.meaning)
            job "${results}/baselines${suffixes[${budget}]}.json" "${decodings[@]}" "${baseline[@]}" "${test_set}" \
                "${exp}"/*.seed*[0-9]/lexicon.json "${code}"/{bin/baselines,text/english,text/lexicon}.py -- \
                python -m l2dual.bin.baselines "${decodings[@]}" "${baseline[@]/#/--zero_shot=}" --data "${test_set}" --out @OUT@
            launch baselines "${decode_cmd}"
            tell baselines
        fi
    fi

    if stage 11 "Analyse entanglement"; then # EXP/RUN, dump/TAG -> EXP/{cka,decoders,subspaces,probes,...}.json
        for what in "${analyses[@]}"; do
            inputs=() choices=()
            case ${what} in
                retrained) inputs=("${decode_config}") choices=(--max_utts 1000 --decode_config "${decode_config}") ;;
                decoders | cka) choices=(--max_utts 2000) ;;
            esac
            if [[ -n ${fit_on[${what}]:-} ]]; then choices+=(--fit_data "${feats}/${fit_on[${what}]}"); fi
            job "${exp}/${what}.json" "${trained[@]/%//trained}" "${feats}"/{train,valid,test} "${inputs[@]}" \
                "${code}"/{analysis,systems.py,data/datadir.py} -- \
                python -m l2dual.bin.analyse --what "${what}" --data "${feats}/test" --exp "${trained[@]}" \
                "${choices[@]}" --out @OUT@
        done
        launch analyse "${decode_cmd} --num_threads ${num_threads}"
        if ((${#analyses[@]})); then tell analyse; else
            echo "skipped: encoders are analysed on their own data, and only if outputs share one"
        fi
    fi

    if stage 12 "Report and pack"; then # all of the above -> EXP/report.html, EXP/RUN/model.zip, exp/index.html
        job "${results}/report.html" "${results}/results.json" "${results}"/*.json "${test_set}" \
            "${code}"/{report,data/divergence.py} -- \
            python -m l2dual.bin.report --exp "${results}" --data "${test_set}" --out @OUT@
        launch report "${decode_cmd}"
        for run in "${trained[@]}"; do
            if [[ -e ${run}/trained && -z ${test_data} ]]; then # one restored from its record has no model
                job "${run}/model.zip" "${run}/trained" "${exp}"/{results*,agreement*,baselines*}.json "${decode_config}" "${code}/inference"/{packing,card}.py -- \
                    python -m l2dual.bin.pack --exp "${run}" --decode_config "${decode_config}" --out @OUT@
            fi
        done
        launch pack "${decode_cmd}"
        python -m l2dual.recipe.index "${expdir}"
        echo "report: $(readlink -f "${results}/report.html"), all studies: $(readlink -f "${expdir}/index.html")"
    fi
    number=''
    exit
}
